import { createPublicKey, hash, verify } from 'node:crypto';
import { vectorBytes } from '@roost/core/vectors';
import { nodeCrypto } from '@roost/crypto/node';
import {
  ciphersuites,
  getCiphersuiteFromName,
  getCiphersuiteNameFromId,
} from 'ts-mls/crypto/ciphersuite.js';
import type { CiphersuiteId, CiphersuiteImpl, CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
import { defaultCryptoProvider } from 'ts-mls';
import { ALGORITHMS, ciphersuiteOf } from '../src/provider.ts';
import { SUITES, signContent, suiteOf } from '../src/suite.ts';
import type { MlsCrypto, Suite } from '../src/suite.ts';

/** The suites that only vectors need: 4 to 7, the server's side by `node:crypto`. */
const OTHERS: readonly Other[] = [
  { number: 4, curve: 'Ed448', digest: 'sha512', hashBytes: 64, encryptionKeyBytes: 56 },
  { number: 5, curve: 'P-521', digest: 'sha512', hashBytes: 64, encryptionKeyBytes: 133 },
  { number: 6, curve: 'Ed448', digest: 'sha512', hashBytes: 64, encryptionKeyBytes: 56 },
  { number: 7, curve: 'P-384', digest: 'sha384', hashBytes: 48, encryptionKeyBytes: 97 },
];

interface Other {
  readonly number: CiphersuiteId;
  readonly curve: 'Ed448' | 'P-384' | 'P-521';
  readonly digest: 'sha384' | 'sha512';
  readonly hashBytes: number;
  readonly encryptionKeyBytes: number;
}

/** Takes suites 1 to 7: what the published vectors are run with. */
export const everySuite: MlsCrypto = {
  ...nodeCrypto,
  suites: new Map([
    ...SUITES,
    ...OTHERS.map((other) => {
      const name = getCiphersuiteNameFromId(other.number);
      return [name, () => publicSide(name, other)] as const;
    }),
  ]),
};

/** The name of a suite; refuses numbers that a vector cannot have. */
export function suiteName(number: number): CiphersuiteName {
  const name = Object.entries(ciphersuites).find(([, id]) => id === number)?.[0];
  const known = [...(everySuite.suites ?? SUITES).keys()].find((each) => each === name);
  if (known === undefined) throw new Error(`suite ${number} is not one of RFC 9420`);
  return known;
}

/** The server's side of a suite, by its number. */
export function publicSuite(number: number): Suite {
  return suiteOf(everySuite, suiteName(number));
}

const memberSuites = new Map<CiphersuiteName, Promise<CiphersuiteImpl>>();

/** The members' side: our provider for the suites that we run, that of ts-mls for the others. */
export async function memberSuite(number: number): Promise<CiphersuiteImpl> {
  const name = suiteName(number);
  let suite = memberSuites.get(name);
  if (suite === undefined) {
    suite = ALGORITHMS.has(name)
      ? Promise.resolve(ciphersuiteOf(nodeCrypto, name))
      : defaultCryptoProvider.getCiphersuiteImpl(getCiphersuiteFromName(name));
    memberSuites.set(name, suite);
  }
  return suite;
}

function publicSide(name: CiphersuiteName, other: Other): Suite {
  const { hashBytes, encryptionKeyBytes, digest } = other;
  return {
    name,
    hashBytes,
    encryptionKeyBytes,
    hash: (bytes) => vectorBytes(hash(digest, bytes, 'hex')),
    verify({ publicKey, label, content, signature }) {
      const key = importKey(other, publicKey);
      if (key === undefined) return false;
      const isEdwards = other.curve === 'Ed448';
      const algorithm = isEdwards ? null : digest;
      return verify(
        algorithm,
        signContent(label, content),
        isEdwards ? key : { key, dsaEncoding: 'der' },
        signature,
      );
    },
  };
}

function importKey({ curve }: Other, raw: Uint8Array) {
  try {
    if (curve === 'Ed448') {
      return createPublicKey({ key: { kty: 'OKP', crv: curve, x: base64url(raw) }, format: 'jwk' });
    }
    if (raw[0] !== 4) return undefined;
    const half = (raw.length - 1) / 2;
    const [x, y] = [base64url(raw.subarray(1, 1 + half)), base64url(raw.subarray(1 + half))];
    return createPublicKey({ key: { kty: 'EC', crv: curve, x, y }, format: 'jwk' });
  } catch {
    return undefined;
  }
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
