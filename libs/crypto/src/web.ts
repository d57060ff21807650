import { gcm } from '@noble/ciphers/aes.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import { assert } from '@roost/core/assert';
import type { Crypto } from './crypto.ts';

/** The door of browsers: audited libraries in plain JavaScript, and the platform's randomness. */
export const webCrypto: Crypto = {
  random,
  equal(a, b) {
    if (a.length !== b.length) return false;
    let difference = 0;
    for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
    return difference === 0;
  },
  sha256: (bytes) => own(sha256(bytes)),
  sha384: (bytes) => own(sha384(bytes)),
  hmacSha256: (key, bytes) => own(hmac(sha256, key, bytes)),
  seal(key, nonce, aad, plaintext) {
    assertSizes(key, nonce);
    return own(gcm(key, nonce, aad).encrypt(plaintext));
  },
  open(key, nonce, aad, ciphertext) {
    assertSizes(key, nonce);
    try {
      return own(gcm(key, nonce, aad).decrypt(ciphertext));
    } catch {
      return undefined;
    }
  },
  ed25519: {
    generate() {
      const privateKey = random(32);
      return { privateKey, publicKey: own(ed25519.getPublicKey(privateKey)) };
    },
    publicKey: (privateKey) => own(ed25519.getPublicKey(privateKey)),
    sign: (privateKey, message) => own(ed25519.sign(message, privateKey)),
    verify(publicKey, message, signature) {
      if (publicKey.length !== 32 || signature.length !== 64) return false;
      // Strict as RFC 8032 has it: no keys of small order, as OpenSSL 3.5 refuses them too.
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    },
  },
  x25519: {
    generate() {
      const privateKey = random(32);
      return { privateKey, publicKey: own(x25519.getPublicKey(privateKey)) };
    },
    publicKey: (privateKey) => own(x25519.getPublicKey(privateKey)),
    dh(privateKey, publicKey) {
      if (privateKey.length !== 32 || publicKey.length !== 32) return undefined;
      try {
        return own(x25519.getSharedSecret(privateKey, publicKey));
      } catch {
        // The library throws where the result is all zeros.
        return undefined;
      }
    },
  },
};

/** What browsers give at most in one call. */
const RANDOM_BYTES_MAX = 65_536;

function random(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += RANDOM_BYTES_MAX) {
    globalThis.crypto.getRandomValues(bytes.subarray(at, at + RANDOM_BYTES_MAX));
  }
  return bytes;
}

function assertSizes(key: Uint8Array, nonce: Uint8Array): void {
  assert(key.length === 16 || key.length === 32, 'an AES key has 16 or 32 bytes');
  assert(nonce.length === 12, 'a nonce has 12 bytes');
}

/** The libraries allocate plain buffers but do not say so in their types; views are copied. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) {
    return new Uint8Array(buffer);
  }
  return Uint8Array.from(bytes);
}
