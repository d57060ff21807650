import { Failure } from '@roost/core/failure';
import { GroupId, writeScoped } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openWith, sealTo } from '@roost/crypto/hpke';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';

import {
  CREDENTIAL_BYTES_MAX,
  hpkeInfo,
  KEY_BYTES,
  SIGNATURE_BYTES,
  VERSION,
} from './structure.ts';

/** What a Welcome does not carry and a joiner needs, from the client that adds it. */
export interface JoinerInfo {
  readonly groupId: GroupId;
  /** The epoch that the Welcome leads to. */
  readonly epoch: bigint;
  readonly earKey: Uint8Array;
  readonly linkWrapperKey: Uint8Array;
  readonly participantKey: Uint8Array;
  /** The adder's ClientCredential, encoded. */
  readonly clientCredential: Uint8Array;
  /** The adder's NameBinding, encoded. */
  readonly nameBinding: Uint8Array;
  /** The adder's, over the Welcome. */
  readonly signature: Uint8Array;
}

/** What an adder answers for: this Welcome, for this KeyPackage, into this group and epoch. */
export interface Welcomed {
  readonly keyPackageRef: Uint8Array;
  /** One MLSMessage, with this joiner's secrets only. */
  readonly welcome: Uint8Array;
}

const LABEL = 'JoinerInfo';
const ATTRIBUTION_LABEL = 'WelcomeAttribution';

/** Signs for the Welcome and seals the joiner info to the init key of the joiner's KeyPackage. */
export function sealJoinerInfo(
  crypto: Crypto,
  { initKey, privateKey }: { readonly initKey: Uint8Array; readonly privateKey: Uint8Array },
  info: Omit<JoinerInfo, 'signature'>,
  welcomed: Welcomed,
): Uint8Array<ArrayBuffer> {
  const content = attribution(crypto, info, welcomed);
  const signature = signWithLabel(crypto, privateKey, ATTRIBUTION_LABEL, content);
  const plaintext = encode((w) => {
    writeScoped(w.u16(VERSION), info.groupId);
    w.u64(info.epoch).fixed(info.earKey).fixed(info.linkWrapperKey).fixed(info.participantKey);
    w.opaque(info.clientCredential).opaque(info.nameBinding).opaque(signature);
  });
  const binding = { info: hpkeInfo(LABEL), aad: welcomed.keyPackageRef };
  return sealTo(crypto, initKey, binding, plaintext);
}

/** Opens joiner info with the private init key. Throws where it is not for this KeyPackage. */
export function openJoinerInfo(
  crypto: Crypto,
  initPrivateKey: Uint8Array,
  keyPackageRef: Uint8Array,
  sealed: Uint8Array,
): JoinerInfo {
  const binding = { info: hpkeInfo(LABEL), aad: keyPackageRef };
  const plaintext = openWith(crypto, initPrivateKey, binding, sealed);
  if (plaintext === undefined) {
    throw new Failure('UNAUTHENTICATED', 'joiner info: it is not for this KeyPackage');
  }
  return decodeAll(plaintext, 'JoinerInfo', (reader) => {
    reader.version(VERSION);
    return {
      groupId: GroupId.read(reader),
      epoch: reader.u64(),
      earKey: reader.fixed(KEY_BYTES),
      linkWrapperKey: reader.fixed(KEY_BYTES),
      participantKey: reader.fixed(KEY_BYTES),
      clientCredential: reader.opaque(CREDENTIAL_BYTES_MAX),
      nameBinding: reader.opaque(CREDENTIAL_BYTES_MAX),
      signature: reader.opaque(SIGNATURE_BYTES),
    };
  });
}

/** Whether the client with this key answers for the Welcome. Its credential is verified apart. */
export function verifyAttribution(
  crypto: Crypto,
  adderKey: Uint8Array,
  info: JoinerInfo,
  welcomed: Welcomed,
): boolean {
  const content = attribution(crypto, info, welcomed);
  return verifyWithLabel(crypto, adderKey, ATTRIBUTION_LABEL, content, info.signature);
}

function attribution(
  crypto: Crypto,
  { groupId, epoch }: Pick<JoinerInfo, 'groupId' | 'epoch'>,
  { keyPackageRef, welcome }: Welcomed,
): Uint8Array {
  return encode((w) => {
    writeScoped(w, groupId);
    w.u64(epoch).opaque(keyPackageRef).fixed(crypto.sha256(welcome));
  });
}
