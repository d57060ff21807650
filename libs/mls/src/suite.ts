import { assert } from '@roost/core/assert';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import type { CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
import { invalid } from './message.ts';
import { ALGORITHMS } from './provider.ts';
import type { Algorithms } from './provider.ts';

/** What a server computes of a ciphersuite: hashes and signature checks, at once. */
export interface Suite {
  readonly name: CiphersuiteName;
  readonly hashBytes: number;
  readonly encryptionKeyBytes: number;
  readonly hash: (bytes: Uint8Array) => Uint8Array<ArrayBuffer>;
  /** VerifyWithLabel (RFC 9420 §5.1.2). */
  readonly verify: (signed: Signed) => boolean;
}

export interface Signed {
  readonly publicKey: Uint8Array;
  readonly label: string;
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

/** How the server's side of each suite is made. */
export type Suites = ReadonlyMap<CiphersuiteName, (crypto: Crypto) => Suite>;

/** A `Crypto` that says which suites are taken with it; a plain one takes all of `SUITES`. */
export interface MlsCrypto extends Crypto {
  readonly suites?: Suites;
}

/** The suites that this library runs: 1, 2 and 3. */
export const SUITES: Suites = new Map(
  [...ALGORITHMS].map(([name, algorithms]) => [
    name,
    (crypto: Crypto) => publicSide(crypto, name, algorithms),
  ]),
);

/**
 * The allow list: whatever parses or creates groups with what comes back takes these suites of
 * RFC 9420 §17.1 and no other.
 */
export function allowSuites(crypto: Crypto, numbers: readonly number[]): MlsCrypto {
  const suites = new Map(
    [...SUITES].filter(([name]) => numbers.includes(ALGORITHMS.get(name)?.number ?? 0)),
  );
  assert(suites.size === new Set(numbers).size, 'allowed suites are ones that this library runs');
  return { ...crypto, suites };
}

/** The server's side of a suite; refuses those that are not allowed. */
export function suiteOf(crypto: MlsCrypto, name: CiphersuiteName): Suite {
  const suite = (crypto.suites ?? SUITES).get(name);
  if (suite === undefined) throw invalid('the ciphersuite is not supported (RFC 9420 §17.1)');
  return suite(crypto);
}

/** The suite of a group that was taken before: an allow list that shrinks locks no group away. */
export function storedSuiteOf(crypto: MlsCrypto, name: CiphersuiteName): Suite {
  const suite = crypto.suites?.get(name) ?? SUITES.get(name);
  if (suite === undefined) throw invalid('the ciphersuite is not supported (RFC 9420 §17.1)');
  return suite(crypto);
}

function publicSide(
  crypto: Crypto,
  name: CiphersuiteName,
  { encryptionKeyBytes, signature: scheme }: Algorithms,
): Suite {
  return {
    name,
    hashBytes: 32,
    encryptionKeyBytes,
    hash: (bytes) => crypto.sha256(bytes),
    verify: ({ publicKey, label, content, signature }) =>
      crypto[scheme].verify(publicKey, signContent(label, content), signature),
  };
}

/** SignContent (RFC 9420 §5.1.2): what is signed with a label. */
export function signContent(label: string, content: Uint8Array): Uint8Array {
  return labelled(`MLS 1.0 ${label}`, content);
}

/** RefHash (RFC 9420 §5.2), which names KeyPackages and proposals. */
export function refHash(suite: Suite, label: string, value: Uint8Array): Uint8Array<ArrayBuffer> {
  return suite.hash(labelled(`MLS 1.0 ${label}`, value));
}

function labelled(label: string, content: Uint8Array): Uint8Array {
  return encode((writer) => writer.text(label).opaque(content));
}
