import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import { DOMAIN_BYTES_MAX, parseDomain, type Domain } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';

/** What a token is good for (design §4); numbers as in the protobufs. */
export type TokenClass = 'general' | 'contact';
/** Announced, issuing, or redeemed only. */
export type IssuerKeyState = 'next' | 'current' | 'previous';

export interface IssuerKey {
  readonly tokenClass: TokenClass;
  readonly state: IssuerKeyState;
  /** From when it issues, in ms since 1970. */
  readonly notBefore: bigint;
  /** Until when it is redeemed, in ms since 1970. */
  readonly notAfter: bigint;
  /** RSASSA-PSS SubjectPublicKeyInfo of RFC 9578 §6.5, 342 bytes for RSA-2048. */
  readonly spki: Uint8Array;
}

/** The issuer keys of a homeserver: the same for everyone (proto/README.md, "Tokens"). */
export interface IssuerKeySet {
  readonly domain: Domain;
  readonly createdMs: bigint;
  readonly keys: readonly IssuerKey[];
}

const CLASSES = { general: 2, contact: 3 } as const;
const STATES = { next: 1, current: 2, previous: 3 } as const;
const KEYS_MAX = 16;
const SPKI_BYTES_MAX = 1_024;
const LABEL = 'IssuerKeySet';

export function encodeIssuerKeySet(set: IssuerKeySet): Uint8Array<ArrayBuffer> {
  return encode((w) =>
    w
      .u16(1)
      .text(set.domain)
      .u64(set.createdMs)
      .vector(set.keys, (inner, key) =>
        inner
          .u8(CLASSES[key.tokenClass])
          .u8(STATES[key.state])
          .u64(key.notBefore)
          .u64(key.notAfter)
          .opaque(key.spki),
      ),
  );
}

/** Throws `MALFORMED`. */
export function decodeIssuerKeySet(bytes: Uint8Array): IssuerKeySet {
  return decodeAll(bytes, 'IssuerKeySet', (reader) => {
    reader.version(1);
    const domain = parseDomain(reader.text(DOMAIN_BYTES_MAX));
    const createdMs = reader.u64();
    const keys = reader.vector(KEYS_MAX, (inner) => {
      const [tokenClass] = nameOf(CLASSES, inner.u8()) ?? [];
      const [state] = nameOf(STATES, inner.u8()) ?? [];
      if (tokenClass === undefined || state === undefined) {
        throw inner.refuse('a class or state is unknown');
      }
      const [notBefore, notAfter] = [inner.u64(), inner.u64()];
      return { tokenClass, state, notBefore, notAfter, spki: inner.opaque(SPKI_BYTES_MAX) };
    });
    return { domain, createdMs, keys };
  });
}

/** By the key of an AS intermediate. */
export function signIssuerKeySet(crypto: Crypto, privateKey: Uint8Array, keySet: Uint8Array) {
  return signWithLabel(crypto, privateKey, LABEL, keySet);
}

export function verifyIssuerKeySet(
  crypto: Crypto,
  publicKey: Uint8Array,
  keySet: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifyWithLabel(crypto, publicKey, LABEL, keySet, signature);
}

function nameOf<Names extends Record<string, number>>(names: Names, value: number) {
  const entries = Object.entries(names) as [keyof Names & string, number][];
  return entries.find(([, number]) => number === value);
}
