import { assert } from '@roost/core/assert';
import { concat } from '@roost/core/bytes';
import type { Crypto } from './crypto.ts';

const HASH_BYTES = 32;

/** RFC 5869 §2.2 with SHA-256. */
export function hkdfExtract(
  crypto: Crypto,
  salt: Uint8Array,
  ikm: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return crypto.hmacSha256(salt, ikm);
}

/** RFC 5869 §2.3 with SHA-256. */
export function hkdfExpand(
  crypto: Crypto,
  prk: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array<ArrayBuffer> {
  assert(length <= 255 * HASH_BYTES, 'HKDF expands to at most 255 blocks');
  const output = new Uint8Array(Math.ceil(length / HASH_BYTES) * HASH_BYTES);
  let block = new Uint8Array(0);
  for (let at = 0; at < length; at += HASH_BYTES) {
    const counter = Uint8Array.of(at / HASH_BYTES + 1);
    block = crypto.hmacSha256(prk, concat(block, info, counter));
    output.set(block, at);
  }
  return output.slice(0, length);
}
