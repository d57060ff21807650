import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, DOMAIN_BYTES_MAX, parseDomain } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto, KeyPair } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';

import {
  HASH_BYTES,
  KEY_BYTES,
  PAYLOAD_BYTES_MAX,
  readValidity,
  SIGNATURE_BYTES,
  type Validity,
  VERSION,
  writeValidity,
} from './structure.ts';

/** The self-signed key that a domain's credentials end at. */
export interface AsRoot extends Validity {
  readonly domain: Domain;
  readonly publicKey: Uint8Array;
  /** SHA-256 of the encoded credential: what names it as an issuer. */
  readonly hash: Uint8Array;
}

/** The key that signs client credentials and name bindings. */
export interface AsIntermediate extends AsRoot {
  /** The hash of the root that signed it. */
  readonly issuer: Uint8Array;
}

/** Who signs, and with what. */
export type Issuer = Validity & {
  readonly domain: Domain;
  readonly hash: Uint8Array;
  readonly privateKey: Uint8Array;
};

/** The keys of a domain as they are published (`GetPublicKeys`), encoded. */
export interface PublishedKeys {
  readonly roots: readonly Uint8Array[];
  readonly intermediates: readonly Uint8Array[];
  /** SHA-256 of each revoked credential. */
  readonly revoked: readonly Uint8Array[];
}

/** The keys of a domain, verified: what credentials are judged by. Hashes are in hex. */
export interface Authority {
  readonly domain: Domain;
  readonly roots: ReadonlyMap<string, AsRoot>;
  readonly intermediates: ReadonlyMap<string, AsIntermediate>;
  readonly revoked: ReadonlySet<string>;
}

/** Nothing is known by which a credential of a domain could be judged: it may be forged or not. */
export class UnknownIssuer extends Failure {
  readonly domain: Domain;

  constructor(domain: Domain, message: string) {
    super('UNAUTHENTICATED', message);
    this.domain = domain;
  }
}

const ROOT_LABEL = 'AsRoot';
const INTERMEDIATE_LABEL = 'AsIntermediate';
const SELF_LABEL = 'AsIntermediateSelf';

/** Makes the root credential of a domain. */
export function makeAsRoot(
  crypto: Crypto,
  key: KeyPair,
  domain: Domain,
  validity: Validity,
): Uint8Array<ArrayBuffer> {
  const payload = encode((w) =>
    writeValidity(w.u16(VERSION).text(domain), validity).fixed(key.publicKey),
  );
  const signature = signWithLabel(crypto, key.privateKey, ROOT_LABEL, payload);
  return encode((w) => w.opaque(payload).opaque(signature));
}

/** Reads a root and checks that it signed itself. Whether to trust it is another question. */
export function readAsRoot(crypto: Crypto, bytes: Uint8Array): AsRoot {
  const { payload, signature } = decodeAll(bytes, 'AsRoot', (reader) => ({
    payload: reader.opaque(PAYLOAD_BYTES_MAX),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
  const root = decodeAll(payload, 'AsRoot', (reader) => {
    reader.version(VERSION);
    const domain = parseDomain(reader.text(DOMAIN_BYTES_MAX));
    return { domain, ...readValidity(reader), publicKey: reader.fixed(KEY_BYTES) };
  });
  if (!verifyWithLabel(crypto, root.publicKey, ROOT_LABEL, payload, signature)) {
    throw forged('the root did not sign itself');
  }
  return { ...root, hash: crypto.sha256(bytes) };
}

/** Issues an intermediate; its validity is cut to the root's. */
export function issueAsIntermediate(
  crypto: Crypto,
  root: Issuer,
  key: KeyPair,
  validity: Validity,
): Uint8Array<ArrayBuffer> {
  const payload = encode((w) =>
    writeValidity(w.u16(VERSION).text(root.domain), withinIssuer(root, validity))
      .fixed(key.publicKey)
      .fixed(root.hash),
  );
  const self = signWithLabel(crypto, key.privateKey, SELF_LABEL, payload);
  const content = encode((w) => w.opaque(payload).opaque(self));
  const signature = signWithLabel(crypto, root.privateKey, INTERMEDIATE_LABEL, content);
  return encode((w) => w.opaque(payload).opaque(self).opaque(signature));
}

/** Reads an intermediate and checks that its own key and this root signed it. */
export function verifyAsIntermediate(
  crypto: Crypto,
  bytes: Uint8Array,
  roots: Authority['roots'],
): AsIntermediate {
  const { payload, self, signature } = decodeAll(bytes, 'AsIntermediate', (reader) => ({
    payload: reader.opaque(PAYLOAD_BYTES_MAX),
    self: reader.opaque(SIGNATURE_BYTES),
    signature: reader.opaque(SIGNATURE_BYTES),
  }));
  const intermediate = decodeAll(payload, 'AsIntermediate', (reader) => {
    reader.version(VERSION);
    const domain = parseDomain(reader.text(DOMAIN_BYTES_MAX));
    const validity = readValidity(reader);
    const publicKey = reader.fixed(KEY_BYTES);
    return { domain, ...validity, publicKey, issuer: reader.fixed(HASH_BYTES) };
  });
  const root = roots.get(toHex(intermediate.issuer));
  if (root === undefined) throw forged('the root of the intermediate is unknown');
  if (root.domain !== intermediate.domain) throw forged('the intermediate is for another domain');
  if (intermediate.notBefore < root.notBefore || intermediate.notAfter > root.notAfter) {
    throw forged('the intermediate is valid outside the time of its root');
  }
  const content = encode((w) => w.opaque(payload).opaque(self));
  if (
    !verifyWithLabel(crypto, intermediate.publicKey, SELF_LABEL, payload, self) ||
    !verifyWithLabel(crypto, root.publicKey, INTERMEDIATE_LABEL, content, signature)
  ) {
    throw forged('a signature of the intermediate does not hold');
  }
  return { ...intermediate, hash: crypto.sha256(bytes) };
}

/**
 * Verifies the published keys of a domain once, for all the credentials that are judged by them.
 * What does not hold, or is of a version unknown to us, is left out.
 */
export function readAuthority(crypto: Crypto, domain: Domain, keys: PublishedKeys): Authority {
  const revoked = new Set(keys.revoked.map(toHex));
  const roots = new Map<string, AsRoot>();
  for (const root of whatHolds(keys.roots, (bytes) => readAsRoot(crypto, bytes))) {
    const hash = toHex(root.hash);
    if (root.domain === domain && !revoked.has(hash)) roots.set(hash, root);
  }
  // A revoked intermediate stays: what it signed is told to be revoked, not forged.
  const verify = (bytes: Uint8Array) => verifyAsIntermediate(crypto, bytes, roots);
  const intermediates = new Map(
    whatHolds(keys.intermediates, verify).map((each) => [toHex(each.hash), each] as const),
  );
  return { domain, roots, intermediates, revoked };
}

function whatHolds<T>(encoded: readonly Uint8Array[], read: (bytes: Uint8Array) => T): T[] {
  return encoded.flatMap((bytes) => {
    try {
      return [read(bytes)];
    } catch (error) {
      if (error instanceof Failure) return [];
      throw error;
    }
  });
}

/** Cuts a validity to the issuer's. */
export function withinIssuer(issuer: Validity, asked: Validity): Validity {
  return {
    notBefore: Math.max(asked.notBefore, issuer.notBefore),
    notAfter: Math.min(asked.notAfter, issuer.notAfter),
  };
}

function forged(message: string): Failure {
  return new Failure('UNAUTHENTICATED', `credential: ${message}`);
}
