import { encodeKeyPackage } from 'ts-mls/keyPackage.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import type { LeafNode } from 'ts-mls/leafNode.js';
import { EXTENSION, extensionOf } from './extensions.ts';
import { invalid, parseKeyPackage } from './message.ts';
import { refHash, suiteOf } from './suite.ts';
import type { MlsCrypto, Suite } from './suite.ts';
import { checkKeyPackage } from './validation.ts';

/** A KeyPackage that was found good, with what services ask of it. */
export interface ValidKeyPackage {
  readonly keyPackage: KeyPackage;
  readonly ref: Uint8Array;
  readonly initKey: Uint8Array;
  readonly encryptionKey: Uint8Array;
  readonly signatureKey: Uint8Array;
  /** The identity of its basic credential. */
  readonly identity: Uint8Array;
  readonly isLastResort: boolean;
  /** The `ClientQueueConfig` to reach its owner by, where there is one. */
  readonly queueConfig: Uint8Array | undefined;
  /** Milliseconds since 1970 until which it may be added. */
  readonly notAfterMs: number;
}

/**
 * Parses a KeyPackage in an MLSMessage and holds it to RFC 9420 §10.1: suite, both signatures,
 * lifetime around `now` (milliseconds) and at most 90 days long, distinct keys.
 */
export function validateKeyPackage(
  crypto: MlsCrypto,
  tls: Uint8Array,
  now: number,
): ValidKeyPackage {
  const keyPackage = parseKeyPackage(tls);
  const suite = suiteOf(crypto, keyPackage.cipherSuite);
  checkKeyPackage(suite, keyPackage, now);
  const { leafNode, extensions, initKey } = keyPackage;
  return {
    keyPackage,
    ref: refOf(suite, keyPackage),
    initKey,
    encryptionKey: leafNode.hpkePublicKey,
    signatureKey: leafNode.signaturePublicKey,
    identity: identityOf(leafNode),
    isLastResort: extensionOf(extensions, EXTENSION.lastResort) !== undefined,
    queueConfig: extensionOf(extensions, EXTENSION.queueConfig),
    notAfterMs: notAfterMs(leafNode),
  };
}

/** The KeyPackageRef (RFC 9420 §5.2) of a KeyPackage in an MLSMessage. */
export function keyPackageRef(crypto: MlsCrypto, tls: Uint8Array): Uint8Array {
  const keyPackage = parseKeyPackage(tls);
  return refOf(suiteOf(crypto, keyPackage.cipherSuite), keyPackage);
}

export function refOf(suite: Suite, keyPackage: KeyPackage): Uint8Array {
  return refHash(suite, 'KeyPackage Reference', encodeKeyPackage(keyPackage));
}

/** The identity bytes of a leaf's basic credential; refuses other credentials. */
export function identityOf(leaf: LeafNode): Uint8Array {
  if (leaf.credential.credentialType !== 'basic') {
    throw invalid('the credential is not a basic one (RFC 9420 §5.3)');
  }
  return leaf.credential.identity;
}

function notAfterMs(leaf: LeafNode): number {
  return leaf.leafNodeSource === 'key_package' ? Number(leaf.lifetime.notAfter) * 1000 : 0;
}
