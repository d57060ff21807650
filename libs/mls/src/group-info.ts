import { compare } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { decodeAll } from '@roost/core/tls';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { encodeGroupInfoTBS } from 'ts-mls/groupInfo.js';
import type { GroupInfo } from 'ts-mls/groupInfo.js';
import { EXTENSION, extensionOf, repeatedType } from './extensions.ts';
import { parseGroupInfo, parseWelcome } from './message.ts';
import type { AddedLeaf } from './proposals.ts';
import { AEAD_TAG_BYTES } from './shape.ts';
import type { Suite } from './suite.ts';
import type { TreeView } from './tree.ts';
import { checkEncryptionKey } from './validation.ts';

/** The group keeps its GroupInfo: beside the context it has a key, a tag and a signature. */
const BESIDE_CONTEXT_BYTES_MAX = 16 * 1024;

/** What the state after a commit says, against which a GroupInfo is held. */
export interface Expected {
  readonly contextTls: Uint8Array;
  readonly confirmationTag: Uint8Array;
  readonly signer: number;
}

/**
 * Holds the GroupInfo of a committer to the state that its commit leads to (RFC 9420 §12.4.3): a
 * server hands out none that it did not compare. The ratchet tree is not in it: the server serves
 * its own.
 */
export function checkGroupInfo(tree: TreeView, tls: Uint8Array, expected: Expected): void {
  if (tls.length > expected.contextTls.length + BESIDE_CONTEXT_BYTES_MAX) {
    throw mismatch(`the GroupInfo has more than ${BESIDE_CONTEXT_BYTES_MAX} bytes of its own`);
  }
  const info = parseGroupInfo(tls);
  if (compare(encodeGroupContext(info.groupContext), expected.contextTls) !== 0) {
    throw mismatch('the GroupInfo is not of the epoch that the commit leads to (RFC 9420 §12.4.3)');
  }
  if (compare(info.confirmationTag, expected.confirmationTag) !== 0) {
    throw mismatch('the GroupInfo has another confirmation tag than the commit (RFC 9420 §12.4.3)');
  }
  if (info.signer !== expected.signer) {
    throw mismatch('the GroupInfo is not signed by the committer (RFC 9420 §12.4.3)');
  }
  checkGroupInfoItself(tree, info);
}

/** The rules of a GroupInfo that need no commit: its extensions and its signature. */
export function checkGroupInfoItself(tree: TreeView, info: GroupInfo): void {
  if (repeatedType(info.extensions) !== undefined) {
    throw mismatch('the GroupInfo has an extension twice (RFC 9420 §12.4.3)');
  }
  if (extensionOf(info.extensions, EXTENSION.ratchetTree) !== undefined) {
    throw mismatch(
      'the GroupInfo carries the ratchet tree, which is served beside it (RFC 9420 §12.4.3.3)',
    );
  }
  checkExternalPub(tree.suite, info);
  const signer = tree.leafAt(info.signer);
  const holds =
    signer !== undefined &&
    tree.suite.verify({
      publicKey: signer.signatureKey,
      label: 'GroupInfoTBS',
      content: encodeGroupInfoTBS(info),
      signature: info.signature,
    });
  if (!holds) throw mismatch('the signature of the GroupInfo does not hold (RFC 9420 §12.4.3)');
}

/** §12.4.3.2: without this key nobody who lost its state comes back. */
function checkExternalPub(suite: Suite, info: GroupInfo): void {
  const contents = extensionOf(info.extensions, EXTENSION.externalPub);
  if (contents === undefined) {
    throw mismatch('the GroupInfo has no external_pub (RFC 9420 §12.4.3.2)');
  }
  try {
    const bytesMax = suite.encryptionKeyBytes;
    const key = decodeAll(contents, 'external_pub', (reader) => reader.opaque(bytesMax));
    checkEncryptionKey(suite, key);
  } catch {
    throw mismatch('external_pub is not a key of the suite (RFC 9420 §12.4.3.2)');
  }
}

/** The Welcome has secrets for exactly those whom the commit adds (RFC 9420 §12.4.3.1). */
export function checkWelcome(
  suite: Suite,
  tls: Uint8Array | undefined,
  added: readonly AddedLeaf[],
): void {
  if (tls === undefined) {
    if (added.length === 0) return;
    throw welcomeMismatch('the commit adds members and has no Welcome (RFC 9420 §12.4.3.1)');
  }
  const welcome = parseWelcome(tls);
  if (added.length === 0)
    throw welcomeMismatch('the commit adds nobody and has a Welcome (RFC 9420 §12.4.3.1)');
  if (welcome.cipherSuite !== suite.name) {
    throw welcomeMismatch('the Welcome has another ciphersuite (RFC 9420 §12.4.3.1)');
  }
  const offered = welcome.secrets.map(({ newMember }) => newMember).toSorted(compare);
  const wanted = added.map(({ keyPackageRef }) => keyPackageRef).toSorted(compare);
  const same =
    offered.length === wanted.length &&
    wanted.every((ref, at) => compare(ref, offered[at] ?? NOTHING) === 0);
  if (!same) {
    throw welcomeMismatch(
      'the Welcome is not for exactly those who are added (RFC 9420 §12.4.3.1)',
    );
  }
  const opens =
    welcome.encryptedGroupInfo.length > AEAD_TAG_BYTES &&
    welcome.secrets.every(
      ({ encryptedGroupSecrets: { kemOutput, ciphertext } }) =>
        kemOutput.length === suite.encryptionKeyBytes && ciphertext.length > AEAD_TAG_BYTES,
    );
  if (!opens) throw welcomeMismatch('a joiner could not open the Welcome (RFC 9420 §12.4.3.1)');
}

function mismatch(message: string): Failure {
  return new Failure('GROUP_INFO_MISMATCH', message);
}

function welcomeMismatch(message: string): Failure {
  return new Failure('WELCOME_MISMATCH', message);
}

const NOTHING = new Uint8Array(0);
