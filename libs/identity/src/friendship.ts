import { Failure } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, sealRandom } from '@roost/crypto/sealed';

import { KEY_BYTES, VERSION } from './structure.ts';

/** Seals the link key of a KeyPackage for the owner's contacts, who hold the friendship key. */
export function sealLinkKey(
  crypto: Crypto,
  friendshipKey: Uint8Array,
  keyPackageRef: Uint8Array,
  linkKey: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const plaintext = encode((w) => w.u16(VERSION).fixed(linkKey));
  return sealRandom(crypto, friendshipKey, keyPackageRef, plaintext);
}

/** Throws where the key or the KeyPackage is another. */
export function openLinkKey(
  crypto: Crypto,
  friendshipKey: Uint8Array,
  keyPackageRef: Uint8Array,
  sealed: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const plaintext = openSealed(crypto, friendshipKey, keyPackageRef, sealed);
  if (plaintext === undefined) {
    throw new Failure('UNAUTHENTICATED', 'add package: its link key does not open');
  }
  return decodeAll(plaintext, 'sealed link key', (reader) => {
    reader.version(VERSION);
    return reader.fixed(KEY_BYTES);
  });
}
