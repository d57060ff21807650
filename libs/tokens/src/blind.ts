import { assert } from '@roost/core/assert';
import { concat, fromHex, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import { challengeDigest, type TokenChallenge } from './challenge.ts';
import { authenticatorInput, MODULUS_BYTES, parsePublicKey, tokenKeyId } from './token.ts';

/**
 * The client's side of RSABSSA-SHA384-PSS-Deterministic (RFC 9474), in BigInt, so that it runs in
 * browsers. BigInt is not constant in time: what it could leak are blinds, to somebody who measures
 * the client itself.
 */

/** What one token waits for; it survives a structured clone. */
export interface PendingToken {
  /** The bytes that will be signed: the token without its authenticator. */
  readonly input: Uint8Array<ArrayBuffer>;
  readonly salt: Uint8Array;
  /** The inverse of the blind. */
  readonly unblind: bigint;
}

export interface PendingBatch {
  readonly modulus: bigint;
  readonly tokens: readonly PendingToken[];
}

/** What makes a token: all of it random, 32 bytes, 48 bytes, and 256 bytes below the modulus. */
export interface Randomness {
  readonly nonce: Uint8Array;
  readonly salt: Uint8Array;
  readonly blind: Uint8Array;
}

/** Blinds `count` fresh tokens: 256 bytes each in `requests`, one after the other. */
export function prepareBatch(
  crypto: Crypto,
  publicKey: Uint8Array,
  challenge: TokenChallenge,
  count: number,
): { readonly requests: Uint8Array<ArrayBuffer>; readonly state: PendingBatch } {
  assert(Number.isInteger(count) && count > 0, 'a batch has at least one token');
  const modulus = toInteger(parsePublicKey(publicKey));
  const randomness = Array.from({ length: count }, () => ({
    nonce: crypto.random(32),
    salt: crypto.random(SALT_BYTES),
    blind: randomBlind(crypto, modulus),
  }));
  return blindBatch(crypto, publicKey, challenge, randomness);
}

/** As `prepareBatch` with the randomness given: the same in, the same out. */
export function blindBatch(
  crypto: Crypto,
  publicKey: Uint8Array,
  challenge: TokenChallenge,
  randomness: readonly Randomness[],
): { readonly requests: Uint8Array<ArrayBuffer>; readonly state: PendingBatch } {
  const modulus = toInteger(parsePublicKey(publicKey));
  const digest = challengeDigest(crypto, challenge);
  const keyId = tokenKeyId(crypto, publicKey);
  const blinds = randomness.map(({ blind }) => toInteger(blind));
  const inverses = invertAll(blinds, modulus);

  const tokens = randomness.map(({ nonce, salt }, at): PendingToken => {
    const input = authenticatorInput({ nonce, challengeDigest: digest, tokenKeyId: keyId });
    return { input, salt, unblind: inverses[at] ?? 0n };
  });
  const requests = tokens.map(({ input, salt }, at) => {
    const encoded = toInteger(encodePss(crypto, input, salt));
    return toBytes((encoded * raise(blinds[at] ?? 0n, modulus)) % modulus);
  });
  return { requests: concat(...requests), state: { modulus, tokens } };
}

/**
 * The tokens, 354 bytes each, from the blind signatures, 256 bytes each in the order of the requests.
 * `TOKEN_INVALID` where a single one does not hold: an issuer that signs with several keys could tell
 * clients apart.
 */
export function finishBatch(
  crypto: Crypto,
  state: PendingBatch,
  response: Uint8Array,
): Uint8Array<ArrayBuffer>[] {
  const { modulus, tokens } = state;
  if (response.length !== tokens.length * MODULUS_BYTES) {
    throw new Failure('TOKEN_INVALID', `the answer is not ${tokens.length} blind signatures`);
  }
  return tokens.map(({ input, salt, unblind }, at) => {
    // The very encoding that was blinded, which is stricter than to verify the signature.
    const encoded = toInteger(encodePss(crypto, input, salt));
    const start = at * MODULUS_BYTES;
    const blindSignature = toInteger(response.subarray(start, start + MODULUS_BYTES));
    const signature = (blindSignature * unblind) % modulus;
    if (blindSignature >= modulus || raise(signature, modulus) !== encoded) {
      throw new Failure('TOKEN_INVALID', 'a blind signature was not made with the issuer key');
    }
    return concat(input, toBytes(signature));
  });
}

/** EMSA-PSS-ENCODE of RFC 8017 §9.1.1 with SHA-384, MGF1 and a salt of 48, for 2,047 bits. */
export function encodePss(
  crypto: Crypto,
  message: Uint8Array,
  salt: Uint8Array,
): Uint8Array<ArrayBuffer> {
  assert(salt.length === SALT_BYTES, 'the salt is as long as the hash');
  const hash = crypto.sha384(concat(new Uint8Array(8), crypto.sha384(message), salt));
  const masked = new Uint8Array(MODULUS_BYTES - HASH_BYTES - 1);
  masked[masked.length - SALT_BYTES - 1] = 1;
  masked.set(salt, masked.length - SALT_BYTES);
  const mask = mgf1(crypto, hash, masked.length);
  mask.forEach((byte, at) => (masked[at] = (masked[at] ?? 0) ^ byte));
  masked[0] = (masked[0] ?? 0) & 0x7f;
  return concat(masked, hash, Uint8Array.of(0xbc));
}

const HASH_BYTES = 48;
const SALT_BYTES = 48;
const PUBLIC_EXPONENT_SQUARINGS = 16;

function mgf1(crypto: Crypto, seed: Uint8Array, length: number): Uint8Array {
  const mask = new Uint8Array(Math.ceil(length / HASH_BYTES) * HASH_BYTES);
  for (let count = 0; count * HASH_BYTES < length; count++) {
    const counter = Uint8Array.of(0, 0, 0, count);
    mask.set(crypto.sha384(concat(seed, counter)), count * HASH_BYTES);
  }
  return mask.subarray(0, length);
}

/** Uniform between 1 and the modulus: drawn again where it is not, every second time at worst. */
function randomBlind(crypto: Crypto, modulus: bigint): Uint8Array<ArrayBuffer> {
  for (;;) {
    const bytes = crypto.random(MODULUS_BYTES);
    const blind = toInteger(bytes);
    if (blind > 0n && blind < modulus) return bytes;
  }
}

/** x^65537 mod n. */
function raise(base: bigint, modulus: bigint): bigint {
  let power = base;
  for (let count = 0; count < PUBLIC_EXPONENT_SQUARINGS; count++) {
    power = (power * power) % modulus;
  }
  return (power * base) % modulus;
}

/** All inverses for the price of one and three products each (Montgomery's trick). */
function invertAll(values: readonly bigint[], modulus: bigint): bigint[] {
  const products: bigint[] = [];
  let product = 1n;
  for (const value of values) {
    products.push(product);
    product = (product * value) % modulus;
  }
  let inverse = invert(product, modulus);
  const inverses = values.map(() => 0n);
  for (let at = values.length - 1; at >= 0; at--) {
    inverses[at] = (inverse * (products[at] ?? 0n)) % modulus;
    inverse = (inverse * (values[at] ?? 0n)) % modulus;
  }
  return inverses;
}

/** By the extended Euclidean algorithm. */
function invert(value: bigint, modulus: bigint): bigint {
  let [low, high] = [value % modulus, modulus];
  let [x, y] = [1n, 0n];
  while (low > 1n) {
    const quotient = high / low;
    [low, high] = [high - quotient * low, low];
    [x, y] = [y - quotient * x, x];
  }
  if (low !== 1n) throw new Failure('TOKEN_INVALID', 'a blind shares a factor with the issuer key');
  return x < 0n ? x + modulus : x;
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}

function toBytes(integer: bigint): Uint8Array<ArrayBuffer> {
  const bytes = fromHex(integer.toString(16).padStart(MODULUS_BYTES * 2, '0'));
  assert(bytes?.length === MODULUS_BYTES, 'a residue is as long as the modulus');
  return bytes;
}
