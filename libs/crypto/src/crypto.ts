/**
 * The one interface to cryptography. Two doors implement it: `node.ts` on `node:crypto`, `web.ts` on
 * kept libraries for browsers. Everything is synchronous: on Node, because a call costs less than a
 * promise; in a browser, because the libraries are.
 *
 * Sizes in bytes: Ed25519 and X25519 keys 32, signatures 64, AES keys 16 or 32, ChaCha20 keys 32,
 * nonces 12, AEAD tags 16, SHA-256 32, SHA-384 48. P-256: private keys 32, public keys 65 (uncompressed
 * points), signatures in DER, at most 72.
 */
export interface Crypto {
  random(size: number): Uint8Array<ArrayBuffer>;
  /** Compares secrets in constant time; other lengths are unequal. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
  sha384(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
  hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array<ArrayBuffer>;
  /** AES-128-GCM or AES-256-GCM by the length of the key; the tag is the last 16 bytes. */
  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array<ArrayBuffer>;
  /** The plaintext, or `undefined` where the tag does not hold. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array<ArrayBuffer> | undefined;
  /** RFC 8439 §2.8; as `seal` and `open` otherwise. */
  readonly chacha20Poly1305: Pick<Crypto, 'seal' | 'open'>;
  readonly ed25519: {
    generate(): KeyPair;
    publicKey(privateKey: Uint8Array): Uint8Array<ArrayBuffer>;
    sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer>;
    /** False also for keys and signatures of wrong sizes. */
    verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  };
  readonly x25519: {
    generate(): KeyPair;
    publicKey(privateKey: Uint8Array): Uint8Array<ArrayBuffer>;
    /** `undefined` where the key is malformed or the result is all zeros (RFC 7748 §6.1). */
    dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
  };
  /** ECDSA over SHA-256 (FIPS 186-5) and ECDH (SP 800-56A §5.7.1.2, the x coordinate). */
  readonly p256: {
    generate(): KeyPair;
    /** `undefined` where the private key is zero, too large or not of 32 bytes. */
    publicKey(privateKey: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
    sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer>;
    /** False also for what is no point of the curve and for what is no DER. */
    verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
    /** `undefined` where a key is malformed. */
    dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
  };
}

/** A raw private key (Ed25519: the seed) and its public key. */
export interface KeyPair {
  readonly privateKey: Uint8Array<ArrayBuffer>;
  readonly publicKey: Uint8Array<ArrayBuffer>;
}
