import { assert } from '@roost/core/assert';
import { concat } from '@roost/core/bytes';
import { encode, Reader } from '@roost/core/tls';
import type { Crypto } from './crypto.ts';

const NONCE_BYTES = 12;

/**
 * AES-GCM under a random nonce, which comes first: nonce (12) || ciphertext || tag (16). One key may
 * seal 2^32 times at most (NIST SP 800-38D §8.3).
 */
export function sealRandom(
  crypto: Crypto,
  key: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const nonce = crypto.random(NONCE_BYTES);
  return concat(nonce, crypto.seal(key, nonce, aad, plaintext));
}

/** Opens what `sealRandom` sealed; `undefined` where key, aad or bytes are others. */
export function openSealed(
  crypto: Crypto,
  key: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array<ArrayBuffer> | undefined {
  if (sealed.length < NONCE_BYTES) return undefined;
  return crypto.open(key, sealed.subarray(0, NONCE_BYTES), aad, sealed.subarray(NONCE_BYTES));
}

/**
 * Hides a length before encryption: `struct { opaque content<V>; zeros }`, as long as the next
 * multiple of `step`.
 */
export function padTo(content: Uint8Array, step: number): Uint8Array<ArrayBuffer> {
  assert(Number.isInteger(step) && step > 0, 'a padding step is a positive integer');
  const length = headOf(content).length + content.length;
  return framedIn(content, Math.ceil(length / step) * step);
}

/** As `padTo`, to the first of the ascending sizes that holds it; beyond, multiples of the last. */
export function padToLadder(
  content: Uint8Array,
  sizes: readonly number[],
): Uint8Array<ArrayBuffer> {
  const length = headOf(content).length + content.length;
  const size = sizes.find((each) => each >= length);
  if (size !== undefined) return framedIn(content, size);
  return padTo(content, sizes.at(-1) ?? 1);
}

/** The content of what `padTo` or `padToLadder` made; refuses padding that is not zeros. */
export function unpad(padded: Uint8Array): Uint8Array<ArrayBuffer> {
  const reader = new Reader(padded, 'padded content');
  const content = reader.opaque(padded.length);
  if (reader.fixed(reader.remaining).some((byte) => byte !== 0)) {
    throw reader.refuse('the padding is not zeros');
  }
  return content;
}

/** What stands before content: its length as a vector. */
function headOf(content: Uint8Array): Uint8Array {
  return encode((writer) => writer.vectorLength(content.length));
}

/** Copied once: it may be the state of a large group. */
function framedIn(content: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(size);
  const head = headOf(content);
  framed.set(head);
  framed.set(content, head.length);
  return framed;
}
