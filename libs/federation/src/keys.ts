import { toHex } from '@roost/core/bytes';
import { type Domain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { encode, type Reader, type Writer } from '@roost/core/tls';
import type { Crypto, KeyPair } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import {
  KEY_BYTES,
  readTime,
  readValidity,
  SIGNATURE_BYTES,
  type Validity,
  writeValidity,
} from '@roost/identity/structure';

/** A federation key as its homeserver publishes it; nothing about it is believed. */
export interface FederationKey extends Validity {
  readonly publicKey: Uint8Array;
  readonly revokedAt: number | undefined;
  /** The id of the key that vouches for it; the first key's own. */
  readonly predecessor: Uint8Array;
  readonly endorsement: Uint8Array;
}

/** A key that is believed to be a homeserver's. */
export interface TrustedKey extends Validity {
  readonly keyId: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly revokedAt: number | undefined;
}

/** A key of our own. */
export type OwnKey = FederationKey & { readonly privateKey: Uint8Array };

export const KEY_ID_BYTES = 8;
export const KEYS_MAX = 64;
/** How long a directory may be kept: so long a key is known before it signs, and believed after it did. */
export const OVERLAP_MS = DAY_MS;
/** How long a key is believed. */
export const KEY_MS = 90 * DAY_MS;
/** The next one is made while there is time for it to be announced, to take over, and to overlap. */
const ROTATE_BEFORE_END_MS = 7 * DAY_MS;

const LABEL = 'FederationKey';

/** What a key is named by. */
export function keyIdOf(crypto: Crypto, publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return crypto.sha256(publicKey).slice(0, KEY_ID_BYTES);
}

/** Whether what was signed with a key at a time is believed. A revoked key is not, whatever the time. */
export function keyStanding(
  { notBefore, notAfter, revokedAt }: Pick<TrustedKey, 'notBefore' | 'notAfter' | 'revokedAt'>,
  signedMs: number,
): 'valid' | 'early' | 'expired' | 'revoked' {
  if (revokedAt !== undefined) return 'revoked';
  if (signedMs < notBefore) return 'early';
  return signedMs > notAfter ? 'expired' : 'valid';
}

/** Draws the first key of a homeserver, which vouches for itself. */
export function firstKey(crypto: Crypto, domain: Domain, nowMs: number): OwnKey {
  const pair = crypto.ed25519.generate();
  const validity = { notBefore: nowMs, notAfter: nowMs + KEY_MS };
  return endorse(crypto, domain, pair, { key: pair, validity });
}

/** Draws the key that follows another one: it signs once everybody can have read of it. */
export function nextKey(crypto: Crypto, domain: Domain, before: OwnKey, nowMs: number): OwnKey {
  const notBefore = nowMs + OVERLAP_MS;
  const validity = { notBefore, notAfter: notBefore + KEY_MS };
  return endorse(crypto, domain, before, { key: crypto.ed25519.generate(), validity });
}

/** Draws the key that takes the place of a revoked one, at once. */
export function replacementKey(
  crypto: Crypto,
  domain: Domain,
  revoked: OwnKey,
  nowMs: number,
): OwnKey {
  const validity = { notBefore: nowMs, notAfter: nowMs + KEY_MS };
  return endorse(crypto, domain, revoked, { key: crypto.ed25519.generate(), validity });
}

/** The key that signs now: the newest that may. */
export function signingKey<Key extends Pick<FederationKey, 'notBefore' | 'notAfter' | 'revokedAt'>>(
  keys: readonly Key[],
  nowMs: number,
): Key | undefined {
  return keys
    .filter((key) => keyStanding(key, nowMs) === 'valid')
    .reduce<Key | undefined>(
      (newest, key) => (newest === undefined || key.notBefore >= newest.notBefore ? key : newest),
      undefined,
    );
}

/** Whether it is time to announce another key. */
export function isRotationDue(keys: readonly FederationKey[], nowMs: number): boolean {
  const living = keys.filter(({ revokedAt }) => revokedAt === undefined);
  return living.every(({ notAfter }) => notAfter - nowMs < ROTATE_BEFORE_END_MS);
}

/** Whether the key that is named as its predecessor vouches for a key. */
export function isEndorsed(
  crypto: Crypto,
  domain: Domain,
  key: FederationKey,
  predecessor: { readonly publicKey: Uint8Array },
): boolean {
  const content = endorsedContent(domain, key);
  return verifyWithLabel(crypto, predecessor.publicKey, LABEL, content, key.endorsement);
}

export function writeKey(writer: Writer, key: FederationKey): void {
  writeValidity(writer.fixed(key.publicKey), key).u64(BigInt(key.revokedAt ?? 0));
  writer.fixed(key.predecessor).opaque(key.endorsement);
}

export function readKey(reader: Reader): FederationKey {
  const publicKey = reader.fixed(KEY_BYTES);
  const validity = readValidity(reader);
  const revokedAt = readTime(reader);
  return {
    publicKey,
    ...validity,
    revokedAt: revokedAt === 0 ? undefined : revokedAt,
    predecessor: reader.fixed(KEY_ID_BYTES),
    endorsement: reader.opaque(SIGNATURE_BYTES),
  };
}

/** A key as it is believed. */
export function trusted(crypto: Crypto, key: FederationKey): TrustedKey {
  const { publicKey, notBefore, notAfter, revokedAt } = key;
  return { keyId: keyIdOf(crypto, publicKey), publicKey, notBefore, notAfter, revokedAt };
}

/** Key ids as keys of maps. */
export function nameOf(keyId: Uint8Array): string {
  return toHex(keyId);
}

function endorse(
  crypto: Crypto,
  domain: Domain,
  by: KeyPair | OwnKey,
  { key, validity }: { readonly key: KeyPair; readonly validity: Validity },
): OwnKey {
  const predecessor = keyIdOf(crypto, by.publicKey);
  const { publicKey, privateKey } = key;
  const content = endorsedContent(domain, { publicKey, ...validity, predecessor });
  const endorsement = signWithLabel(crypto, by.privateKey, LABEL, content);
  return { publicKey, privateKey, ...validity, revokedAt: undefined, predecessor, endorsement };
}

function endorsedContent(
  domain: Domain,
  key: Pick<FederationKey, 'publicKey' | 'notBefore' | 'notAfter' | 'predecessor'>,
): Uint8Array {
  return encode((writer) =>
    writeValidity(writer.text(domain).fixed(key.publicKey), key).fixed(key.predecessor),
  );
}
