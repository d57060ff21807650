import { assert } from '@roost/core/assert';
import { concat, utf8 } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import type { Crypto, KeyPair } from './crypto.ts';
import { hkdfExpand, hkdfExtract } from './hkdf.ts';

/**
 * HPKE (RFC 9180) in base mode with HKDF-SHA256: the suites of MLS ciphersuites 1, 2 and 3. What
 * Roost itself seals (`sealTo`) is always DHKEM(X25519, HKDF-SHA256) with AES-128-GCM.
 */
export interface HpkeBinding {
  readonly info: Uint8Array;
  readonly aad?: Uint8Array;
}

export interface HpkeExporter {
  /** RFC 9180 §5.3. */
  export(exporterContext: Uint8Array, length: number): Uint8Array<ArrayBuffer>;
}

/** Seals under consecutive nonces, so that the receiver has to open in the same order. */
export interface HpkeSender extends HpkeExporter {
  seal(aad: Uint8Array, plaintext: Uint8Array): Uint8Array<ArrayBuffer>;
}

export interface HpkeReceiver extends HpkeExporter {
  /** `undefined`, and the same nonce again, where the tag does not hold. */
  open(aad: Uint8Array, ciphertext: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
}

/** A key encapsulation by Diffie-Hellman and an AEAD, by their numbers in RFC 9180 §7. */
export interface HpkeSuite {
  readonly kem: keyof typeof KEMS;
  readonly aead: keyof typeof AEADS;
}

/** The suite of MLS ciphersuite 1, and of everything that Roost seals itself. */
export const X25519_AES128: HpkeSuite = { kem: 'X25519', aead: 'AES-128-GCM' };

/** One message to an X25519 key: enc (32) || ciphertext. Refuses a key that is none. */
export function sealTo(
  crypto: Crypto,
  publicKey: Uint8Array,
  { info, aad = NOTHING }: HpkeBinding,
  plaintext: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { enc, context } = new Hpke(crypto, X25519_AES128).setupSender(publicKey, info);
  return concat(enc, context.seal(aad, plaintext));
}

/** Opens what `sealTo` sealed; `undefined` where anything is other than it was. */
export function openWith(
  crypto: Crypto,
  privateKey: Uint8Array,
  { info, aad = NOTHING }: HpkeBinding,
  sealed: Uint8Array,
): Uint8Array<ArrayBuffer> | undefined {
  if (sealed.length < ENC_BYTES) return undefined;
  const hpke = new Hpke(crypto, X25519_AES128);
  const context = hpke.setupReceiver(privateKey, sealed.subarray(0, ENC_BYTES), info);
  return context?.open(aad, sealed.subarray(ENC_BYTES));
}

/** One suite of HPKE over a `Crypto`. */
export class Hpke {
  readonly keyBytes: number;
  readonly #crypto: Crypto;
  readonly #kem: Kem;
  readonly #aead: Pick<Crypto, 'seal' | 'open'>;
  readonly #kemSuite: Uint8Array;
  readonly #hpkeSuite: Uint8Array;

  constructor(crypto: Crypto, { kem, aead }: HpkeSuite) {
    const { id, keyBytes, of } = AEADS[aead];
    this.keyBytes = keyBytes;
    this.#crypto = crypto;
    this.#kem = KEMS[kem];
    this.#aead = of(crypto);
    const kemId = Uint8Array.of(0x00, this.#kem.id);
    this.#kemSuite = concat(utf8('KEM'), kemId);
    this.#hpkeSuite = concat(utf8('HPKE'), kemId, HKDF_SHA256, Uint8Array.of(0x00, id));
  }

  generate(): KeyPair {
    return this.#kem.of(this.#crypto).generate();
  }

  /** DeriveKeyPair of RFC 9180 §7.1.3. */
  deriveKeyPair(ikm: Uint8Array): KeyPair {
    const kem = labelled(this.#crypto, this.#kemSuite);
    const prk = kem.extract(NOTHING, 'dkp_prk', ikm);
    return this.#kem.derive(this.#crypto, (label, info) =>
      kem.expand(prk, label, info, PRIVATE_BYTES),
    );
  }

  /** RFC 9180 §5.1.1, the sender's side. `ephemeral` is drawn unless a vector brings its own. */
  setupSender(
    publicKey: Uint8Array,
    info: Uint8Array,
    ephemeral: KeyPair = this.generate(),
  ): { readonly enc: Uint8Array<ArrayBuffer>; readonly context: HpkeSender } {
    const enc = ephemeral.publicKey;
    const dh = this.#kem.of(this.#crypto).dh(ephemeral.privateKey, publicKey);
    if (dh === undefined) throw malformed('public_key', `is not a usable ${this.#kem.name} key`);
    const keys = this.#schedule(this.#sharedSecret(dh, concat(enc, publicKey)), info);
    let sequence = 0;
    const seal: HpkeSender['seal'] = (aad, plaintext) =>
      this.#aead.seal(keys.key, nonceAt(keys.baseNonce, sequence++), aad, plaintext);
    return { enc, context: { seal, export: this.#exporter(keys.exporterSecret) } };
  }

  /** RFC 9180 §5.1.1, the receiver's side; `undefined` where `enc` is no usable key. */
  setupReceiver(
    privateKey: Uint8Array,
    enc: Uint8Array,
    info: Uint8Array,
  ): HpkeReceiver | undefined {
    const curve = this.#kem.of(this.#crypto);
    const dh = curve.dh(privateKey, enc);
    const publicKey = dh === undefined ? undefined : curve.publicKey(privateKey);
    if (dh === undefined || publicKey === undefined) return undefined;
    const keys = this.#schedule(this.#sharedSecret(dh, concat(enc, publicKey)), info);
    let sequence = 0;
    const open: HpkeReceiver['open'] = (aad, ciphertext) => {
      const nonce = nonceAt(keys.baseNonce, sequence);
      const plaintext = this.#aead.open(keys.key, nonce, aad, ciphertext);
      if (plaintext !== undefined) sequence++;
      return plaintext;
    };
    return { open, export: this.#exporter(keys.exporterSecret) };
  }

  /** ExtractAndExpand of RFC 9180 §4.1. */
  #sharedSecret(dh: Uint8Array, kemContext: Uint8Array): Uint8Array {
    const kem = labelled(this.#crypto, this.#kemSuite);
    const prk = kem.extract(NOTHING, 'eae_prk', dh);
    return kem.expand(prk, 'shared_secret', kemContext, HASH_BYTES);
  }

  /** KeySchedule of RFC 9180 §5.1 in base mode, where there is no pre-shared key. */
  #schedule(secret: Uint8Array, info: Uint8Array) {
    const { extract, expand } = labelled(this.#crypto, this.#hpkeSuite);
    const pskIdHash = extract(NOTHING, 'psk_id_hash', NOTHING);
    const infoHash = extract(NOTHING, 'info_hash', info);
    const context = concat(MODE_BASE, pskIdHash, infoHash);
    const prk = extract(secret, 'secret', NOTHING);
    return {
      key: expand(prk, 'key', context, this.keyBytes),
      baseNonce: expand(prk, 'base_nonce', context, NONCE_BYTES),
      exporterSecret: expand(prk, 'exp', context, HASH_BYTES),
    };
  }

  #exporter(secret: Uint8Array): HpkeExporter['export'] {
    const { expand } = labelled(this.#crypto, this.#hpkeSuite);
    return (context, length) => expand(secret, 'sec', context, length);
  }
}

const NOTHING = new Uint8Array(0);
const ENC_BYTES = 32;
const PRIVATE_BYTES = 32;
const NONCE_BYTES = 12;
const HASH_BYTES = 32;
const MODE_BASE = Uint8Array.of(0);
const VERSION = utf8('HPKE-v1');
const HKDF_SHA256 = Uint8Array.of(0x00, 0x01);

type Expand = (label: string, info: Uint8Array) => Uint8Array<ArrayBuffer>;

interface Kem {
  readonly id: number;
  readonly name: string;
  readonly of: (crypto: Crypto) => Crypto['p256'] | Crypto['x25519'];
  readonly derive: (crypto: Crypto, expand: Expand) => KeyPair;
}

const KEMS = {
  X25519: {
    id: 0x20,
    name: 'X25519',
    of: (crypto) => crypto.x25519,
    derive(crypto, expand) {
      const privateKey = expand('sk', NOTHING);
      return { privateKey, publicKey: crypto.x25519.publicKey(privateKey) };
    },
  },
  'P-256': {
    id: 0x10,
    name: 'P-256',
    of: (crypto) => crypto.p256,
    derive(crypto, expand) {
      // One draw in 2^32 is not below the order of the curve; the next one is taken then.
      for (let counter = 0; counter < 256; counter++) {
        const privateKey = expand('candidate', Uint8Array.of(counter));
        const publicKey = crypto.p256.publicKey(privateKey);
        if (publicKey !== undefined) return { privateKey, publicKey };
      }
      throw malformed('ikm', 'derives no key');
    },
  },
} as const satisfies Readonly<Record<string, Kem>>;

const AEADS = {
  'AES-128-GCM': { id: 1, keyBytes: 16, of: (crypto: Crypto) => crypto },
  'ChaCha20-Poly1305': { id: 3, keyBytes: 32, of: (crypto: Crypto) => crypto.chacha20Poly1305 },
} as const;

/** LabeledExtract and LabeledExpand of RFC 9180 §4. */
function labelled(crypto: Crypto, suite: Uint8Array) {
  return {
    extract: (salt: Uint8Array, label: string, ikm: Uint8Array) =>
      hkdfExtract(crypto, salt, concat(VERSION, suite, utf8(label), ikm)),
    expand(prk: Uint8Array, label: string, info: Uint8Array, length: number) {
      const size = Uint8Array.of(length >> 8, length & 0xff);
      return hkdfExpand(crypto, prk, concat(size, VERSION, suite, utf8(label), info), length);
    },
  };
}

function nonceAt(baseNonce: Uint8Array, sequence: number): Uint8Array {
  assert(sequence < 2 ** 32, 'an HPKE context seals less than 2^32 messages');
  const nonce = Uint8Array.from(baseNonce);
  for (let at = 0; at < 4; at++) {
    nonce[NONCE_BYTES - 1 - at] =
      (nonce[NONCE_BYTES - 1 - at] ?? 0) ^ ((sequence >>> (8 * at)) & 0xff);
  }
  return nonce;
}
