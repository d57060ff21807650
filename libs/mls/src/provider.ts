import { Failure } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import { hkdfExpand, hkdfExtract } from '@roost/crypto/hkdf';
import { deriveKeyPair, setupReceiver, setupSender } from '@roost/crypto/hpke';
import type { CiphersuiteImpl, CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
import type { Hash } from 'ts-mls/crypto/hash.js';
import type { Hpke, PrivateKey, PublicKey } from 'ts-mls/crypto/hpke.js';
import type { Kdf } from 'ts-mls/crypto/kdf.js';
import type { CryptoProvider } from 'ts-mls/crypto/provider.js';
import type { Signature } from 'ts-mls/crypto/signature.js';

export const SUITE_1 = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519';

/**
 * The cryptography of ts-mls over our own `Crypto`: no promise waits for anything, and one
 * implementation serves client and server. A suite is added by a line in `SUITES`.
 */
export function mlsProvider(crypto: Crypto): CryptoProvider {
  return {
    async getCiphersuiteImpl({ name }) {
      return ciphersuiteOf(crypto, name);
    },
  };
}

/** The suite of this name; refuses those that Roost does not run. */
export function ciphersuiteOf(crypto: Crypto, name: CiphersuiteName): CiphersuiteImpl {
  const suite = SUITES.get(name);
  if (suite === undefined) throw new Failure('INVALID_MLS', 'the ciphersuite is not supported');
  return { ...suite(crypto), rng: { randomBytes: crypto.random }, name };
}

type Algorithms = Pick<CiphersuiteImpl, 'hash' | 'kdf' | 'hpke' | 'signature'>;

const SUITES: ReadonlyMap<CiphersuiteName, (crypto: Crypto) => Algorithms> = new Map([
  [
    SUITE_1,
    (crypto: Crypto): Algorithms => ({
      hash: sha256(crypto),
      kdf: hkdfSha256(crypto),
      hpke: hpkeX25519Aes128(crypto),
      signature: ed25519(crypto),
    }),
  ],
]);

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

function ed25519(crypto: Crypto): Signature {
  return {
    sign: async (key, message) => crypto.ed25519.sign(key, message),
    verify: async (key, message, signature) => crypto.ed25519.verify(key, message, signature),
    async keygen() {
      const { publicKey, privateKey } = crypto.ed25519.generate();
      return { publicKey, signKey: privateKey };
    },
  };
}

/** ts-mls calls keys CryptoKeys but only passes them around; ours are their bytes. */
class RawKey<Type extends 'public' | 'private'> {
  readonly algorithm = { name: 'X25519' };
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

function hpkeX25519Aes128(crypto: Crypto): Hpke {
  return {
    keyLength: 16,
    nonceLength: 12,
    importPublicKey: async (bytes) => new RawKey('public', bytes),
    importPrivateKey: async (bytes) => new RawKey('private', bytes),
    exportPublicKey: async (key) => rawBytes(key),
    exportPrivateKey: async (key) => rawBytes(key),
    generateKeyPair: async () => rawPair(crypto.x25519.generate()),
    deriveKeyPair: async (ikm) => rawPair(deriveKeyPair(crypto, ikm)),
    async seal(key, plaintext, info, aad = NOTHING) {
      const { enc, context } = setupSender(crypto, rawBytes(key), info);
      return { enc, ct: context.seal(aad, plaintext) };
    },
    async open(key, enc, ciphertext, ...[info, aad = NOTHING]) {
      const context = setupReceiver(crypto, rawBytes(key), enc, info);
      return opened(context?.open(aad, ciphertext));
    },
    async exportSecret(key, exporterContext, length, info) {
      const { enc, context } = setupSender(crypto, rawBytes(key), info);
      return { enc, secret: context.export(exporterContext, length) };
    },
    async importSecret(key, exporterContext, enc, ...[length, info]) {
      const context = setupReceiver(crypto, rawBytes(key), enc, info);
      return opened(context?.export(exporterContext, length));
    },
    encryptAead: async (key, nonce, aad, plaintext) =>
      crypto.seal(key, nonce, aad ?? NOTHING, plaintext),
    decryptAead: async (key, nonce, aad, ciphertext) =>
      opened(crypto.open(key, nonce, aad ?? NOTHING, ciphertext)),
  };
}

function opened(plaintext: Uint8Array | undefined): Uint8Array {
  if (plaintext === undefined) throw new Failure('INVALID_MLS', 'a ciphertext does not open');
  return plaintext;
}
