import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
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
  chacha20Poly1305: {
    seal(key, nonce, aad, plaintext) {
      assertChaChaSizes(key, nonce);
      return own(chacha20poly1305(key, nonce, aad).encrypt(plaintext));
    },
    open(key, nonce, aad, ciphertext) {
      assertChaChaSizes(key, nonce);
      try {
        return own(chacha20poly1305(key, nonce, aad).decrypt(ciphertext));
      } catch {
        return undefined;
      }
    },
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
  p256: {
    generate() {
      // FIPS 186-5 A.2.1: 16 bytes more than the order has make what is left of the bias nothing.
      const privateKey = own(p256.utils.randomSecretKey(random(P256_SEED_BYTES)));
      return { privateKey, publicKey: own(p256.getPublicKey(privateKey, false)) };
    },
    publicKey: (privateKey) =>
      p256.utils.isValidSecretKey(privateKey)
        ? own(p256.getPublicKey(privateKey, false))
        : undefined,
    sign: (privateKey, message) => own(p256.sign(message, privateKey, ECDSA_OPTIONS)),
    verify(publicKey, message, signature) {
      if (!isPoint(publicKey)) return false;
      try {
        return p256.verify(signature, message, publicKey, ECDSA_OPTIONS);
      } catch {
        return false;
      }
    },
    dh(privateKey, publicKey) {
      if (!isPoint(publicKey)) return undefined;
      try {
        return own(p256.getSharedSecret(privateKey, publicKey, true).subarray(1));
      } catch {
        // The library throws where a key is out of range or not on the curve.
        return undefined;
      }
    },
  },
};

/** The suites sign in DER, and both halves of the curve's order are signatures. */
const ECDSA_OPTIONS = { format: 'der', lowS: false } as const;
const P256_SEED_BYTES = 48;

/** The library takes compressed points too; RFC 9420 §5.1 has uncompressed ones only. */
function isPoint(publicKey: Uint8Array): boolean {
  return publicKey.length === 65 && publicKey[0] === 4;
}

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

function assertChaChaSizes(key: Uint8Array, nonce: Uint8Array): void {
  assert(key.length === 32, 'a ChaCha20 key has 32 bytes');
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
