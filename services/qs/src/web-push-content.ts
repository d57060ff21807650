import { assert } from '@roost/core/assert';
import { concat, toBase64url, utf8 } from '@roost/core/bytes';
import type { Crypto, KeyPair } from '@roost/crypto/crypto';
import { hkdfExpand, hkdfExtract } from '@roost/crypto/hkdf';

const RECORD_BYTES = 4096;
const LAST_RECORD = 2;

/** Whom a push is for, and what is drawn for it. */
export interface PushSecrets {
  readonly p256dh: Uint8Array;
  readonly auth: Uint8Array;
  readonly salt: Uint8Array;
  readonly sender: KeyPair;
}

/** The body of a push, RFC 8291 in one record of RFC 8188; `undefined` where the keys are none. */
export function encryptPush(
  crypto: Crypto,
  { p256dh, auth, salt, sender }: PushSecrets,
  plaintext: Uint8Array,
): Uint8Array | undefined {
  const shared = crypto.p256.dh(sender.privateKey, p256dh);
  if (shared === undefined) return undefined;
  const info = concat(utf8('WebPush: info\0'), p256dh, sender.publicKey);
  const ikm = hkdfExpand(crypto, hkdfExtract(crypto, auth, shared), info, 32);
  const prk = hkdfExtract(crypto, salt, ikm);
  const key = hkdfExpand(crypto, prk, utf8('Content-Encoding: aes128gcm\0'), 16);
  const nonce = hkdfExpand(crypto, prk, utf8('Content-Encoding: nonce\0'), 12);
  const record = concat(plaintext, Uint8Array.of(LAST_RECORD));
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(0, RECORD_BYTES);
  head[4] = sender.publicKey.length;
  const sealed = crypto.seal(key, nonce, new Uint8Array(0), record);
  return concat(salt, head, sender.publicKey, sealed);
}

/** Who sends a push, for the provider: RFC 8292. */
export interface Sender {
  readonly keys: KeyPair;
  /** How the provider reaches the operator: a `mailto:` or `https:` address. */
  readonly subject: string;
}

/** The value of the authorization header for one provider, good until `expiresMs`. */
export function vapidHeader(
  crypto: Crypto,
  { keys, subject }: Sender,
  { origin, expiresMs }: { readonly origin: string; readonly expiresMs: number },
): string {
  const claims = { aud: origin, exp: Math.floor(expiresMs / 1_000), sub: subject };
  const head = base64url(JSON.stringify({ typ: 'JWT', alg: 'ES256' }));
  const signed = `${head}.${base64url(JSON.stringify(claims))}`;
  const signature = rawSignature(crypto.p256.sign(keys.privateKey, utf8(signed)));
  return `vapid t=${signed}.${unpadded(signature)}, k=${unpadded(keys.publicKey)}`;
}

/** RFC 7515 has the two numbers one behind the other, OpenSSL gives them in DER. */
function rawSignature(der: Uint8Array): Uint8Array {
  const raw = new Uint8Array(64);
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0;
    const number = der.subarray(at + 2, at + 2 + length);
    const digits = number[0] === 0 ? number.subarray(1) : number;
    assert(der[at] === 2 && digits.length <= 32, 'a signature by P-256 is two numbers of 32 bytes');
    raw.set(digits, end - digits.length);
    at += 2 + length;
  }
  return raw;
}

function base64url(text: string): string {
  return unpadded(utf8(text));
}

function unpadded(bytes: Uint8Array): string {
  return toBase64url(bytes).replaceAll('=', '');
}
