import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';

import { isSelfSigned, type SignedDirectory } from './directory.ts';
import { isKnownKey } from './known-keys.ts';
import {
  type FederationKey,
  isEndorsed,
  keyIdOf,
  nameOf,
  type TrustedKey,
  trusted,
} from './keys.ts';

/** What is believed of another homeserver. */
export interface Trust {
  readonly serial: bigint;
  /** SHA-256 of the directory's content: one serial has one content. */
  readonly contentHash: Uint8Array;
  /** All keys that were ever believed, those that ended too. */
  readonly keys: readonly TrustedKey[];
}

/** Clocks differ. */
const CLOCK_MS = 5 * MINUTE_MS;

/**
 * What is believed after a domain's directory was read. At first contact all its keys are, as TLS vouched
 * for the domain; afterwards those that follow from what was believed `before`. Throws `UNAUTHENTICATED`
 * with a sentence for the operator, and then everything stays as it was.
 */
export function extendTrust(
  crypto: Crypto,
  { domain, nowMs }: { readonly domain: Domain; readonly nowMs: number },
  signed: SignedDirectory,
  before: Trust | undefined,
): Trust {
  const { directory, content } = signed;
  if (directory.domain !== domain) throw distrust(domain, `is that of ${directory.domain}`);
  if (directory.createdMs > nowMs + CLOCK_MS) throw distrust(domain, 'is from the future');
  if (directory.expiresMs + CLOCK_MS < nowMs) throw distrust(domain, 'has expired');
  const contentHash = crypto.sha256(content);
  if (before !== undefined) assertNewer(domain, directory.serial, contentHash, before);
  const keys = before === undefined ? found(crypto, signed) : followed(crypto, signed, before.keys);
  const isKnown = keys.some(
    ({ publicKey, revokedAt }) => revokedAt === undefined && isKnownKey(crypto, publicKey),
  );
  if (isKnown) throw distrust(domain, 'has a key that everybody can sign with');
  if (!isSelfSigned(crypto, signed)) throw distrust(domain, 'is not signed by one of its keys');
  // A key that was revoked before may be listed as living again: then it does not sign for us.
  const signer = keys.find(({ keyId }) => equal(keyId, signed.keyId));
  if (signer === undefined || signer.revokedAt !== undefined) {
    throw distrust(domain, 'is signed by a key that was revoked');
  }
  return { serial: directory.serial, contentHash, keys };
}

function assertNewer(domain: Domain, serial: bigint, hash: Uint8Array, before: Trust): void {
  if (serial < before.serial) throw distrust(domain, 'is older than one that was read before');
  if (serial === before.serial && !equal(hash, before.contentHash)) {
    throw distrust(domain, 'is not the one that was read before under the same serial');
  }
}

/** At first contact. */
function found(crypto: Crypto, { directory }: SignedDirectory): TrustedKey[] {
  const { domain, keys } = directory;
  const byId = new Map(keys.map((key) => [idOf(crypto, key), key]));
  for (const key of keys) {
    const predecessor = byId.get(nameOf(key.predecessor));
    if (predecessor !== undefined && !isEndorsed(crypto, domain, key, predecessor)) {
      throw distrust(domain, 'has a key that its predecessor does not vouch for');
    }
  }
  return keys.map((key) => trusted(crypto, key));
}

/** A key is believed if it was before, or if one vouches for it that is believed and was not revoked before. */
function followed(
  crypto: Crypto,
  { directory }: SignedDirectory,
  before: readonly TrustedKey[],
): TrustedKey[] {
  const { domain, keys } = directory;
  const known = new Map(before.map((key) => [nameOf(key.keyId), key]));
  const believed = new Map(known);
  for (const key of keys) {
    const id = idOf(crypto, key);
    const earlier = known.get(id);
    if (earlier !== undefined) {
      if (!equal(earlier.publicKey, key.publicKey)) throw distrust(domain, 'has a forged key id');
      believed.set(id, { ...earlier, revokedAt: earlier.revokedAt ?? key.revokedAt });
      continue;
    }
    const name = nameOf(key.predecessor);
    const predecessor = believed.get(name);
    const isVouched =
      predecessor !== undefined &&
      known.get(name)?.revokedAt === undefined &&
      isEndorsed(crypto, domain, key, predecessor);
    if (!isVouched) throw distrust(domain, 'has a key that follows from none that is known');
    believed.set(id, trusted(crypto, key));
  }
  return [...believed.values()];
}

function idOf(crypto: Crypto, { publicKey }: FederationKey): string {
  return nameOf(keyIdOf(crypto, publicKey));
}

function distrust(domain: Domain, what: string): Failure {
  return new Failure('UNAUTHENTICATED', `the directory of ${domain} ${what}`);
}
