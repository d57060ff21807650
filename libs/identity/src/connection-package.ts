import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import { Failure } from '@roost/core/failure';

import type { Authority } from './authority.ts';
import {
  type ClientCredential,
  readClientCredential,
  verifyClientCredential,
} from './credentials.ts';
import {
  CREDENTIAL_BYTES_MAX,
  KEY_BYTES,
  readTime,
  SIGNATURE_BYTES,
  type Standing,
  VERSION,
} from './structure.ts';

/** What a client publishes so that strangers can write to it: a key, signed by the client. */
export interface ConnectionPackage {
  readonly hpkeKey: Uint8Array;
  readonly notAfter: number;
  /** ClientCredential, encoded. */
  readonly clientCredential: Uint8Array;
}

const LABEL = 'ConnectionPackage';
const PAYLOAD_BYTES_MAX = CREDENTIAL_BYTES_MAX + 64;

export function makeConnectionPackage(
  crypto: Crypto,
  privateKey: Uint8Array,
  { hpkeKey, notAfter, clientCredential }: ConnectionPackage,
): Uint8Array<ArrayBuffer> {
  const payload = encode((w) =>
    w.u16(VERSION).fixed(hpkeKey).u64(BigInt(notAfter)).opaque(clientCredential),
  );
  const signature = signWithLabel(crypto, privateKey, LABEL, payload);
  return encode((w) => w.opaque(payload).opaque(signature));
}

/**
 * Reads a package and checks that the client whose credential it holds signed it. Whether that
 * credential is good is for `verifyConnectionPackage`, or for the AS, which issued it.
 */
export function readConnectionPackage(
  crypto: Crypto,
  bytes: Uint8Array,
): ConnectionPackage & { readonly claimed: ClientCredential } {
  const { payload, signature } = decodeAll(bytes, 'ConnectionPackage', (reader) => ({
    payload: reader.opaque(PAYLOAD_BYTES_MAX),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
  const read = decodeAll(payload, 'ConnectionPackage', (reader) => {
    reader.version(VERSION);
    const hpkeKey = reader.fixed(KEY_BYTES);
    return {
      hpkeKey,
      notAfter: readTime(reader),
      clientCredential: reader.opaque(CREDENTIAL_BYTES_MAX),
    };
  });
  const claimed = readClientCredential(read.clientCredential);
  if (!verifyWithLabel(crypto, claimed.publicKey, LABEL, payload, signature)) {
    throw new Failure('UNAUTHENTICATED', 'connection package: its signature does not hold');
  }
  return { ...read, claimed };
}

/** Verifies a package up to a root of its domain; it is expired as soon as either part is. */
export function verifyConnectionPackage(
  crypto: Crypto,
  bytes: Uint8Array,
  authority: Authority,
  nowMs: number,
): ConnectionPackage & { readonly credential: ClientCredential; readonly standing: Standing } {
  const { claimed: _, ...read } = readConnectionPackage(crypto, bytes);
  const { clientCredential, notAfter } = read;
  const verified = verifyClientCredential(crypto, clientCredential, authority, nowMs);
  const isExpired = verified.standing === 'valid' && nowMs > notAfter;
  return {
    ...read,
    credential: verified.credential,
    standing: isExpired ? 'expired' : verified.standing,
  };
}
