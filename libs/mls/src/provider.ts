import { Failure } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import { hkdfExpand, hkdfExtract } from '@roost/crypto/hkdf';
import { Hpke as HpkeScheme, X25519_AES128 } from '@roost/crypto/hpke';
import type { HpkeSuite } from '@roost/crypto/hpke';
import type { CiphersuiteImpl, CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
import type { Hash } from 'ts-mls/crypto/hash.js';
import type { Hpke, PrivateKey, PublicKey } from 'ts-mls/crypto/hpke.js';
import type { Kdf } from 'ts-mls/crypto/kdf.js';
import type { CryptoProvider } from 'ts-mls/crypto/provider.js';
import type { Signature } from 'ts-mls/crypto/signature.js';

export const SUITE_1 = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519';
const SUITE_2 = 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256';
const SUITE_3 = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519';

/** What a ciphersuite is made of; hash and KDF of all of these are SHA-256's. */
export interface Algorithms {
  /** The suite's number (RFC 9420 §17.1). */
  readonly number: number;
  readonly hpke: HpkeSuite;
  readonly encryptionKeyBytes: number;
  readonly signature: 'ed25519' | 'p256';
}

/** The suites that this library runs: each a line here. */
export const ALGORITHMS: ReadonlyMap<CiphersuiteName, Algorithms> = new Map([
  [
    SUITE_1,
    { number: 1, hpke: X25519_AES128, encryptionKeyBytes: 32, signature: 'ed25519' } as const,
  ],
  [
    SUITE_2,
    {
      number: 2,
      hpke: { kem: 'P-256', aead: 'AES-128-GCM' },
      encryptionKeyBytes: 65,
      signature: 'p256',
    } as const,
  ],
  [
    SUITE_3,
    {
      number: 3,
      hpke: { kem: 'X25519', aead: 'ChaCha20-Poly1305' },
      encryptionKeyBytes: 32,
      signature: 'ed25519',
    } as const,
  ],
]);

/**
 * The cryptography of ts-mls over our own `Crypto`: no promise waits for anything, and one
 * implementation serves client and server.
 */
export function mlsProvider(crypto: Crypto): CryptoProvider {
  return {
    async getCiphersuiteImpl({ name }) {
      return ciphersuiteOf(crypto, name);
    },
  };
}

/** The suite of this name; refuses those that this library does not run. */
export function ciphersuiteOf(crypto: Crypto, name: CiphersuiteName): CiphersuiteImpl {
  const algorithms = ALGORITHMS.get(name);
  if (algorithms === undefined)
    throw new Failure('INVALID_MLS', 'the ciphersuite is not supported');
  return {
    hash: sha256(crypto),
    kdf: hkdfSha256(crypto),
    hpke: hpkeOf(crypto, algorithms.hpke),
    signature: signatureOf(crypto[algorithms.signature]),
    rng: { randomBytes: crypto.random },
    name,
  };
}

function sha256(crypto: Crypto): Hash {
  return {
    digest: async (bytes) => crypto.sha256(bytes),
    mac: async (key, bytes) => crypto.hmacSha256(key, bytes),
    verifyMac: async (key, mac, bytes) => crypto.equal(mac, crypto.hmacSha256(key, bytes)),
  };
}

function hkdfSha256(crypto: Crypto): Kdf {
  return {
    extract: async (salt, ikm) => hkdfExtract(crypto, salt, ikm),
    expand: async (prk, info, length) => hkdfExpand(crypto, prk, info, length),
    size: 32,
  };
}

function signatureOf(scheme: Crypto['ed25519'] | Crypto['p256']): Signature {
  return {
    sign: async (key, message) => scheme.sign(key, message),
    verify: async (key, message, signature) => scheme.verify(key, message, signature),
    async keygen() {
      const { publicKey, privateKey } = scheme.generate();
      return { publicKey, signKey: privateKey };
    },
  };
}

/** ts-mls calls keys CryptoKeys but only passes them around; ours are their bytes. */
class RawKey<Type extends 'public' | 'private'> {
  readonly algorithm = { name: 'raw' };
  readonly extractable = true;
  readonly usages: KeyUsage[] = [];
  readonly type: Type;
  readonly bytes: Uint8Array;

  constructor(type: Type, bytes: Uint8Array) {
    this.type = type;
    this.bytes = bytes;
  }
}

function rawBytes(key: PublicKey | PrivateKey): Uint8Array {
  if (key instanceof RawKey) return key.bytes;
  throw new TypeError('the key was made by another provider');
}

function rawPair(pair: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array }) {
  return {
    privateKey: new RawKey('private', pair.privateKey),
    publicKey: new RawKey('public', pair.publicKey),
  };
}

const NOTHING = new Uint8Array(0);

function hpkeOf(crypto: Crypto, suite: HpkeSuite): Hpke {
  const hpke = new HpkeScheme(crypto, suite);
  const aead = suite.aead === 'AES-128-GCM' ? crypto : crypto.chacha20Poly1305;
  return {
    keyLength: hpke.keyBytes,
    nonceLength: 12,
    importPublicKey: async (bytes) => new RawKey('public', bytes),
    importPrivateKey: async (bytes) => new RawKey('private', bytes),
    exportPublicKey: async (key) => rawBytes(key),
    exportPrivateKey: async (key) => rawBytes(key),
    generateKeyPair: async () => rawPair(hpke.generate()),
    deriveKeyPair: async (ikm) => rawPair(hpke.deriveKeyPair(ikm)),
    async seal(key, plaintext, info, aad = NOTHING) {
      const { enc, context } = hpke.setupSender(rawBytes(key), info);
      return { enc, ct: context.seal(aad, plaintext) };
    },
    async open(key, enc, ciphertext, ...[info, aad = NOTHING]) {
      const context = hpke.setupReceiver(rawBytes(key), enc, info);
      return opened(context?.open(aad, ciphertext));
    },
    async exportSecret(key, exporterContext, length, info) {
      const { enc, context } = hpke.setupSender(rawBytes(key), info);
      return { enc, secret: context.export(exporterContext, length) };
    },
    async importSecret(key, exporterContext, enc, ...[length, info]) {
      const context = hpke.setupReceiver(rawBytes(key), enc, info);
      return opened(context?.export(exporterContext, length));
    },
    encryptAead: async (key, nonce, aad, plaintext) =>
      aead.seal(key, nonce, aad ?? NOTHING, plaintext),
    decryptAead: async (key, nonce, aad, ciphertext) =>
      opened(aead.open(key, nonce, aad ?? NOTHING, ciphertext)),
  };
}

function opened(plaintext: Uint8Array | undefined): Uint8Array {
  if (plaintext === undefined) throw new Failure('INVALID_MLS', 'a ciphertext does not open');
  return plaintext;
}
