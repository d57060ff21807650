import { compare } from '@roost/core/bytes';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { decodeExternalSenders } from 'ts-mls/externalSender.js';
import type { ExternalSender } from 'ts-mls/externalSender.js';
import type { Extension } from 'ts-mls/extension.js';
import type { GroupContext } from 'ts-mls/groupContext.js';
import { encodeKeyPackageTBS } from 'ts-mls/keyPackage.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import { encodeLeafNodeTBS } from 'ts-mls/leafNode.js';
import type { LeafNode, LeafNodeTBS } from 'ts-mls/leafNode.js';
import { decodeRequiredCapabilities } from 'ts-mls/requiredCapabilities.js';
import type { RequiredCapabilities } from 'ts-mls/requiredCapabilities.js';
import { EXTENSION, extensionOf, repeatedType, typeOf } from './extensions.ts';
import { invalid } from './message.ts';
import { isUsableKey } from './public-keys.ts';
import {
  GROUP_EXTENSIONS_BYTES_MAX,
  walkExternalSenders,
  walkRequiredCapabilities,
} from './shape.ts';
import type { Suite } from './suite.ts';
import type { TreeView } from './tree.ts';

/** One function per rule of RFC 9420 about leaves, KeyPackages and extensions. */

export const KEY_PACKAGE_LIFETIME_MS_MAX = 90 * DAY_MS;
/** Clocks differ: a KeyPackage made just now for the longest time must pass. */
const CLOCK_SKEW_MS = HOUR_MS;

/** §7.3: the signature of a leaf, over its place in the group unless it is a KeyPackage's. */
export function checkLeafSignature(
  suite: Suite,
  leaf: LeafNode,
  groupId: Uint8Array,
  leafIndex: number,
): void {
  const tbs: LeafNodeTBS =
    leaf.leafNodeSource === 'key_package' ? leaf : { ...leaf, groupId, leafIndex };
  const holds = suite.verify({
    publicKey: leaf.signaturePublicKey,
    label: 'LeafNodeTBS',
    content: encodeLeafNodeTBS(tbs),
    signature: leaf.signature,
  });
  if (!holds) throw invalid('the signature of a leaf does not hold (RFC 9420 §7.3)');
}

/** §7.2: what a leaf uses itself is among its capabilities, and each extension stands there once. */
export function checkLeafCapabilities(suite: Suite, leaf: LeafNode): void {
  const { capabilities, credential, extensions } = leaf;
  if (!capabilities.versions.includes('mls10') || !capabilities.ciphersuites.includes(suite.name)) {
    throw invalid("a leaf does not list the group's version and ciphersuite (RFC 9420 §7.2)");
  }
  if (!capabilities.credentials.includes(credential.credentialType)) {
    throw invalid('a leaf does not list its own credential type (RFC 9420 §7.2)');
  }
  if (repeatedType(extensions) !== undefined) {
    throw invalid('a leaf has an extension twice (RFC 9420 §7.2)');
  }
  if (extensions.map(typeOf).some((type) => isDefault(type) && type !== EXTENSION.applicationId)) {
    throw invalid('a leaf has an extension that does not belong to it (RFC 9420 §17.3)');
  }
  const unlisted = extensions.some(
    (extension) =>
      !isDefault(typeOf(extension)) && !capabilities.extensions.includes(typeOf(extension)),
  );
  if (unlisted) throw invalid('a leaf has an extension that it does not list (RFC 9420 §7.2)');
}

/** §5.1.1: keys have the length that the suite gives them, and somebody can encrypt to them. */
export function checkEncryptionKey(suite: Suite, key: Uint8Array): void {
  if (key.length !== suite.encryptionKeyBytes) {
    throw invalid('an encryption key has the wrong length (RFC 9420 §5.1)');
  }
  checkUsable(suite, key);
}

/** §5.1.1: what an HPKE sender sends ahead is, in suites over a curve, a key of the same kind. */
export function checkKemOutput(suite: Suite, kemOutput: Uint8Array): void {
  if (kemOutput.length !== suite.encryptionKeyBytes) {
    throw invalid('a kem_output has the wrong length (RFC 9420 §5.1)');
  }
  checkUsable(suite, kemOutput);
}

function checkUsable(suite: Suite, key: Uint8Array): void {
  if (!isUsableKey(suite.name, key)) {
    throw invalid('a key is none that anybody could encrypt to (RFC 9420 §5.1)');
  }
}

/** §7.3: now lies within the lifetime of a leaf that came by KeyPackage. */
export function checkLifetime(leaf: LeafNode, now: number): void {
  if (leaf.leafNodeSource !== 'key_package') return;
  const { notBefore, notAfter } = leaf.lifetime;
  const nowSeconds = BigInt(Math.floor(now / 1000));
  const early = nowSeconds + BigInt(CLOCK_SKEW_MS / 1000) < notBefore;
  if (early || nowSeconds > notAfter) {
    throw invalid('a KeyPackage is not valid at this time (RFC 9420 §7.2)');
  }
}

/** §7.2 lets an application bound lifetimes: ours end at most 90 days from now. */
export function checkLifetimeBound(leaf: LeafNode, now: number): void {
  if (leaf.leafNodeSource !== 'key_package') return;
  const latest = BigInt(Math.floor((now + KEY_PACKAGE_LIFETIME_MS_MAX + CLOCK_SKEW_MS) / 1000));
  if (leaf.lifetime.notAfter > latest) {
    throw invalid('a KeyPackage is valid for more than 90 days (RFC 9420 §7.2)');
  }
}

/** §10.1: a KeyPackage by itself. */
export function checkKeyPackage(suite: Suite, keyPackage: KeyPackage, now: number): void {
  const { leafNode, initKey } = keyPackage;
  if (keyPackage.version !== 'mls10' || keyPackage.cipherSuite !== suite.name) {
    throw invalid('a KeyPackage has another version or ciphersuite (RFC 9420 §10.1)');
  }
  checkEncryptionKey(suite, initKey);
  checkEncryptionKey(suite, leafNode.hpkePublicKey);
  if (compare(initKey, leafNode.hpkePublicKey) === 0) {
    throw invalid('a KeyPackage has the same init key and encryption key (RFC 9420 §10.1)');
  }
  if (repeatedType(keyPackage.extensions) !== undefined) {
    throw invalid('a KeyPackage has an extension twice (RFC 9420 §10)');
  }
  if (keyPackage.extensions.map(typeOf).some(isDefault)) {
    throw invalid('a KeyPackage has an extension that does not belong to it (RFC 9420 §17.3)');
  }
  checkLifetime(leafNode, now);
  checkLifetimeBound(leafNode, now);
  checkLeafCapabilities(suite, leafNode);
  checkLeafSignature(suite, leafNode, NOTHING, 0);
  const holds = suite.verify({
    publicKey: leafNode.signaturePublicKey,
    label: 'KeyPackageTBS',
    content: encodeKeyPackageTBS(keyPackage),
    signature: keyPackage.signature,
  });
  if (!holds) throw invalid('the signature of a KeyPackage does not hold (RFC 9420 §10.1)');
}

/** §7.3, §12.1.7, §13.2: every member supports what the group uses and requires. */
export function checkMembersSupport(tree: TreeView, context: GroupContext): void {
  const { tally } = tree;
  if (!tally.credentialsInUse().every((type) => tally.allSupport('credential', type))) {
    throw invalid('a member does not support the credential of another (RFC 9420 §7.3)');
  }
  const types = context.extensions.map(typeOf).filter((type) => !isDefault(type));
  if (!types.every((type) => tally.allSupport('extension', type))) {
    throw invalid('a member does not support an extension of the group (RFC 9420 §13.4)');
  }
  const required = requiredCapabilities(context.extensions);
  if (required === undefined) return;
  const extensions = required.extensionTypes.filter((type) => !isDefault(type));
  const proposals = required.proposalTypes.filter((type) => type > DEFAULT_PROPOSAL_LAST);
  const credentials = required.credentialTypes.map(credentialNumber);
  const supported =
    extensions.every((type) => tally.allSupport('extension', type)) &&
    proposals.every((type) => tally.allSupport('proposal', type)) &&
    credentials.every((type) => tally.allSupport('credential', type));
  if (!supported) {
    throw invalid('a member lacks a capability that the group requires (RFC 9420 §11.1)');
  }
}

/** §12.1.7: the extensions of a group are well-formed, each once, and ones that belong there. */
export function checkGroupExtensions(extensions: readonly Extension[]): void {
  if (repeatedType(extensions) !== undefined) {
    throw invalid('the group has an extension twice (RFC 9420 §11)');
  }
  for (const type of [EXTENSION.ratchetTree, EXTENSION.externalPub, EXTENSION.applicationId]) {
    if (extensionOf(extensions, type) !== undefined) {
      throw invalid('the group has an extension that does not belong to it (RFC 9420 §17.3)');
    }
  }
  const size = extensions.reduce((sum, { extensionData }) => sum + extensionData.length, 0);
  if (size > GROUP_EXTENSIONS_BYTES_MAX) {
    throw invalid(`the group has more than ${GROUP_EXTENSIONS_BYTES_MAX} bytes of extensions`);
  }
  requiredCapabilities(extensions);
  externalSenders(extensions);
}

/** §12.1.8.1: who may propose from outside. */
export function externalSenders(extensions: readonly Extension[]): readonly ExternalSender[] {
  const contents = extensionOf(extensions, EXTENSION.externalSenders);
  if (contents === undefined) return [];
  return decodeExtension('external_senders (RFC 9420 §12.1.8.1)', contents, {
    walk: walkExternalSenders,
    decode: decodeExternalSenders,
  });
}

function requiredCapabilities(extensions: readonly Extension[]): RequiredCapabilities | undefined {
  const contents = extensionOf(extensions, EXTENSION.requiredCapabilities);
  if (contents === undefined) return undefined;
  const what = 'required_capabilities (RFC 9420 §11.1)';
  return decodeExtension(what, contents, {
    walk: walkRequiredCapabilities,
    decode: decodeRequiredCapabilities,
  });
}

interface Codec<T> {
  readonly walk: (bytes: Uint8Array) => void;
  readonly decode: (bytes: Uint8Array, offset: number) => [T, number] | undefined;
}

function decodeExtension<T>(what: string, contents: Uint8Array, { walk, decode }: Codec<T>): T {
  const decoded = attempt(() => {
    walk(contents);
    return decode(contents, 0);
  });
  if (decoded?.[1] !== contents.length) throw invalid(`the group has malformed ${what}`);
  return decoded[0];
}

function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

/** ts-mls names the credential types that it knows, and prints the numbers of others. */
function credentialNumber(name: string): number {
  const known: Readonly<Record<string, number>> = { basic: 1, x509: 2 };
  return known[name] ?? Number(name);
}

/** The extension and proposal types of RFC 9420 itself need not be listed (§7.2). */
function isDefault(extensionType: number): boolean {
  return extensionType <= DEFAULT_EXTENSION_LAST;
}

const DEFAULT_EXTENSION_LAST = 5;
const DEFAULT_PROPOSAL_LAST = 7;
const NOTHING = new Uint8Array(0);
