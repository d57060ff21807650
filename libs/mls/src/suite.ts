import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import type { CiphersuiteName } from 'ts-mls/crypto/ciphersuite.js';
import { SUITE_1 } from './provider.ts';
import { invalid } from './message.ts';

/** What a server computes of a ciphersuite: hashes and signature checks, at once. */
export interface Suite {
  readonly name: CiphersuiteName;
  readonly hashBytes: number;
  /** The length of an encryption key; below 64. */
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

/** The server's side of a suite; refuses those that Roost does not run. */
export function suiteOf(crypto: Crypto, name: CiphersuiteName): Suite {
  if (name !== SUITE_1) throw invalid('the ciphersuite is not supported (RFC 9420 §17.1)');
  return {
    name,
    hashBytes: 32,
    encryptionKeyBytes: 32,
    hash: (bytes) => crypto.sha256(bytes),
    verify: ({ publicKey, label, content, signature }) =>
      crypto.ed25519.verify(publicKey, labelled(`MLS 1.0 ${label}`, content), signature),
  };
}

/** RefHash (RFC 9420 §5.2), which names KeyPackages and proposals. */
export function refHash(suite: Suite, label: string, value: Uint8Array): Uint8Array<ArrayBuffer> {
  return suite.hash(labelled(`MLS 1.0 ${label}`, value));
}

function labelled(label: string, content: Uint8Array): Uint8Array {
  return encode((writer) => writer.text(label).opaque(content));
}
