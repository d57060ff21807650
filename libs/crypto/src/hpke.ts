import { assert } from '@roost/core/assert';
import { concat, utf8 } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import type { Crypto, KeyPair } from './crypto.ts';
import { hkdfExpand, hkdfExtract } from './hkdf.ts';

/**
 * HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM: the
 * suite of MLS ciphersuite 1.
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

/** One message to a public key: enc (32) || ciphertext. Refuses a key that is no X25519 key. */
export function sealTo(
  crypto: Crypto,
  publicKey: Uint8Array,
  { info, aad = NOTHING }: HpkeBinding,
  plaintext: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { enc, context } = setupSender(crypto, publicKey, info);
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
  const context = setupReceiver(crypto, privateKey, sealed.subarray(0, ENC_BYTES), info);
  return context?.open(aad, sealed.subarray(ENC_BYTES));
}

/** RFC 9180 §5.1.1, the sender's side. `ephemeral` is drawn unless a test vector brings its own. */
export function setupSender(
  crypto: Crypto,
  publicKey: Uint8Array,
  info: Uint8Array,
  ephemeral: KeyPair = crypto.x25519.generate(),
): { readonly enc: Uint8Array<ArrayBuffer>; readonly context: HpkeSender } {
  const enc = ephemeral.publicKey;
  const dh = crypto.x25519.dh(ephemeral.privateKey, publicKey);
  if (dh === undefined) throw malformed('public_key', 'is not a usable X25519 key');
  const keys = schedule(crypto, sharedSecret(crypto, dh, concat(enc, publicKey)), info);
  let sequence = 0;
  const seal: HpkeSender['seal'] = (aad, plaintext) =>
    crypto.seal(keys.key, nonceAt(keys.baseNonce, sequence++), aad, plaintext);
  return { enc, context: { seal, export: exporter(crypto, keys.exporterSecret) } };
}

/** RFC 9180 §5.1.1, the receiver's side; `undefined` where `enc` is no usable key. */
export function setupReceiver(
  crypto: Crypto,
  privateKey: Uint8Array,
  enc: Uint8Array,
  info: Uint8Array,
): HpkeReceiver | undefined {
  const dh = crypto.x25519.dh(privateKey, enc);
  if (dh === undefined) return undefined;
  const kemContext = concat(enc, crypto.x25519.publicKey(privateKey));
  const keys = schedule(crypto, sharedSecret(crypto, dh, kemContext), info);
  let sequence = 0;
  const open: HpkeReceiver['open'] = (aad, ciphertext) => {
    const plaintext = crypto.open(keys.key, nonceAt(keys.baseNonce, sequence), aad, ciphertext);
    if (plaintext !== undefined) sequence++;
    return plaintext;
  };
  return { open, export: exporter(crypto, keys.exporterSecret) };
}

/** DeriveKeyPair of RFC 9180 §7.1.3. */
export function deriveKeyPair(crypto: Crypto, ikm: Uint8Array): KeyPair {
  const kem = labelled(crypto, KEM_SUITE);
  const privateKey = kem.expand(kem.extract(NOTHING, 'dkp_prk', ikm), 'sk', NOTHING, 32);
  return { privateKey, publicKey: crypto.x25519.publicKey(privateKey) };
}

const NOTHING = new Uint8Array(0);
const ENC_BYTES = 32;
const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const HASH_BYTES = 32;
const MODE_BASE = Uint8Array.of(0);
const VERSION = utf8('HPKE-v1');
const KEM_SUITE = concat(utf8('KEM'), Uint8Array.of(0x00, 0x20));
const HPKE_SUITE = concat(utf8('HPKE'), Uint8Array.of(0x00, 0x20, 0x00, 0x01, 0x00, 0x01));

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

/** ExtractAndExpand of RFC 9180 §4.1. */
function sharedSecret(crypto: Crypto, dh: Uint8Array, kemContext: Uint8Array): Uint8Array {
  const kem = labelled(crypto, KEM_SUITE);
  const prk = kem.extract(NOTHING, 'eae_prk', dh);
  return kem.expand(prk, 'shared_secret', kemContext, HASH_BYTES);
}

/** KeySchedule of RFC 9180 §5.1 in base mode, where there is no pre-shared key. */
function schedule(crypto: Crypto, secret: Uint8Array, info: Uint8Array) {
  const { extract, expand } = labelled(crypto, HPKE_SUITE);
  const pskIdHash = extract(NOTHING, 'psk_id_hash', NOTHING);
  const infoHash = extract(NOTHING, 'info_hash', info);
  const context = concat(MODE_BASE, pskIdHash, infoHash);
  const prk = extract(secret, 'secret', NOTHING);
  return {
    key: expand(prk, 'key', context, KEY_BYTES),
    baseNonce: expand(prk, 'base_nonce', context, NONCE_BYTES),
    exporterSecret: expand(prk, 'exp', context, HASH_BYTES),
  };
}

function exporter(crypto: Crypto, secret: Uint8Array): HpkeExporter['export'] {
  return (context, length) => labelled(crypto, HPKE_SUITE).expand(secret, 'sec', context, length);
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
