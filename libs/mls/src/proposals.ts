import { assert } from '@roost/core/assert';
import { compare, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Extension } from 'ts-mls/extension.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import type { LeafNode, LeafNodeUpdate } from 'ts-mls/leafNode.js';
import { encodePskId } from 'ts-mls/presharedkey.js';
import type { PreSharedKeyID } from 'ts-mls/presharedkey.js';
import type { Proposal } from 'ts-mls/proposal.js';
import { invalid } from './message.ts';
import { refOf } from './key-package.ts';
import { Leaf } from './tree-node.ts';
import type { TreeDiff } from './tree.ts';
import {
  checkEncryptionKey,
  checkGroupExtensions,
  checkKeyPackage,
  checkLeafCapabilities,
  checkLeafSignature,
} from './validation.ts';

/** Who sent a proposal or a commit. */
export type Actor =
  | { readonly kind: 'member'; readonly leafIndex: number }
  /** A sender outside, by its place in the external_senders extension: the hub. */
  | { readonly kind: 'external'; readonly senderIndex: number }
  /** Whoever enters by external commit; `leafIndex` is the place it gets. */
  | { readonly kind: 'joiner'; readonly leafIndex: number };

/** A proposal in a commit, by value or looked up by its reference. */
export interface ResolvedProposal {
  readonly proposal: Proposal;
  readonly actor: Actor;
  /** The ProposalRef, where it was sent before the commit. */
  readonly ref: Uint8Array | undefined;
}

/** A member that a commit adds; it is reached through its KeyPackage's queue config. */
export interface AddedLeaf {
  readonly leafIndex: number;
  readonly keyPackageRef: Uint8Array;
  readonly leaf: LeafNode;
  readonly keyPackage: KeyPackage;
}

/** What the proposals of a commit did to a tree. */
export interface Effects {
  readonly added: readonly AddedLeaf[];
  readonly removed: readonly number[];
  readonly updated: readonly number[];
  /** The GroupContext extensions of the next epoch. */
  readonly extensions: Extension[];
}

/** What a proposal is judged by. */
export interface Scene {
  readonly groupId: Uint8Array;
  readonly extensions: Extension[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** §12.1: one proposal by itself. What depends on the others of a commit is checked there. */
export function checkProposal(
  tree: TreeDiff,
  scene: Scene,
  { proposal, actor }: Pick<ResolvedProposal, 'proposal' | 'actor'>,
): void {
  switch (proposal.proposalType) {
    case 'add':
      return checkKeyPackage(tree.suite, proposal.add.keyPackage, scene.now);
    case 'update':
      return checkUpdate(tree, scene, proposal.update.leafNode, actor);
    case 'remove':
      if (tree.leafAt(proposal.remove.removed) !== undefined) return;
      throw invalidProposal('a Remove names no member (RFC 9420 §12.1.3)');
    case 'psk':
      return checkPsk(tree, proposal.psk.preSharedKeyId);
    case 'group_context_extensions':
      return checkGroupExtensions(proposal.groupContextExtensions.extensions);
    case 'reinit':
      // There is no version but mls10, so that none is lower than ours (§12.1.5).
      return;
    case 'external_init':
      if (actor.kind === 'joiner') return;
      throw invalidProposal('only an external commit has an ExternalInit (RFC 9420 §12.1.6)');
    default:
      throw invalidProposal('the proposal type is not supported (RFC 9420 §12.2)');
  }
}

/** §12.1.2. */
function checkUpdate(tree: TreeDiff, scene: Scene, leaf: LeafNodeUpdate, actor: Actor): void {
  if (actor.kind !== 'member') {
    throw invalidProposal('only a member sends an Update (RFC 9420 §12.1.8)');
  }
  checkEncryptionKey(tree.suite, leaf.hpkePublicKey);
  checkLeafCapabilities(leaf);
  checkLeafSignature(tree.suite, leaf, scene.groupId, actor.leafIndex);
}

/** §12.1.4: branch and reinit PSKs belong to the first commit of the other group, which is ours never. */
function checkPsk(tree: TreeDiff, id: PreSharedKeyID): void {
  if (id.pskNonce.length !== tree.suite.hashBytes) {
    throw invalidProposal('a PSK nonce has the wrong length (RFC 9420 §12.1.4)');
  }
  if (id.psktype === 'resumption' && id.usage !== 'application') {
    throw invalidProposal('a PSK is for another group (RFC 9420 §12.1.4)');
  }
}

/** §12.2: the list of proposals in a member's commit. */
export function checkMemberList(proposals: readonly ResolvedProposal[], committer: number): void {
  const touched = new Set<number>();
  const pskIds = new Set<string>();
  let contextChanges = 0;
  for (const { proposal, actor } of proposals) {
    if (proposal.proposalType === 'update' || proposal.proposalType === 'remove') {
      const leafIndex = touchedLeaf(proposal, actor);
      if (leafIndex === committer) {
        throw invalidProposal('a commit updates or removes its own sender (RFC 9420 §12.2)');
      }
      if (touched.has(leafIndex)) {
        throw invalidProposal('a commit updates or removes a leaf twice (RFC 9420 §12.2)');
      }
      touched.add(leafIndex);
    }
    if (proposal.proposalType === 'psk') addPskId(pskIds, proposal.psk.preSharedKeyId);
    if (proposal.proposalType === 'group_context_extensions') contextChanges++;
    if (proposal.proposalType === 'reinit' && proposals.length > 1) {
      throw invalidProposal('a ReInit stands beside other proposals (RFC 9420 §12.2)');
    }
    if (proposal.proposalType === 'external_init') {
      throw invalidProposal('a member commits an ExternalInit (RFC 9420 §12.2)');
    }
  }
  if (contextChanges > 1) {
    throw invalidProposal('a commit changes the GroupContext twice (RFC 9420 §12.2)');
  }
}

/** §12.2, §12.4.3.2: the list of proposals in an external commit. */
export function checkExternalList(proposals: readonly ResolvedProposal[]): void {
  const count = (type: Proposal['proposalType']) =>
    proposals.filter(({ proposal }) => proposal.proposalType === type).length;
  if (proposals.some(({ ref }) => ref !== undefined)) {
    throw invalidProposal('an external commit refers to a proposal (RFC 9420 §12.4.3.2)');
  }
  if (count('external_init') !== 1) {
    throw invalidProposal(
      'an external commit has not exactly one ExternalInit (RFC 9420 §12.4.3.2)',
    );
  }
  if (count('remove') > 1) {
    throw invalidProposal('an external commit removes more than one member (RFC 9420 §12.4.3.2)');
  }
  if (count('external_init') + count('remove') + count('psk') !== proposals.length) {
    throw invalidProposal('an external commit has a proposal of another type (RFC 9420 §12.4.3.2)');
  }
  const pskIds = new Set<string>();
  for (const { proposal } of proposals) {
    if (proposal.proposalType === 'psk') addPskId(pskIds, proposal.psk.preSharedKeyId);
  }
}

/** §12.4: whether a commit of these proposals must renew the path. */
export function needsPath(proposals: readonly ResolvedProposal[]): boolean {
  const types = new Set(proposals.map(({ proposal }) => proposal.proposalType));
  return (
    types.size === 0 ||
    types.has('update') ||
    types.has('remove') ||
    types.has('external_init') ||
    types.has('group_context_extensions')
  );
}

/** §12.3: GroupContextExtensions, then Updates, Removes, Adds, whatever their order in the commit. */
export function applyProposals(
  tree: TreeDiff,
  proposals: readonly ResolvedProposal[],
  extensions: Extension[],
): Effects {
  let nextExtensions = extensions;
  const updated: number[] = [];
  const removed: number[] = [];
  const added: AddedLeaf[] = [];
  for (const { proposal } of proposals) {
    if (proposal.proposalType === 'group_context_extensions') {
      // Copies, so that the group does not hold on to the whole commit.
      nextExtensions = proposal.groupContextExtensions.extensions.map((extension) => ({
        ...extension,
        extensionData: Uint8Array.from(extension.extensionData),
      }));
    }
  }
  for (const { proposal, actor } of proposals) {
    if (proposal.proposalType !== 'update') continue;
    const leafIndex = touchedLeaf(proposal, actor);
    const leaf = Leaf.of(proposal.update.leafNode);
    checkNewKeys(tree, leaf, leafIndex);
    tree.updateLeaf(leafIndex, leaf);
    updated.push(leafIndex);
  }
  for (const { proposal } of proposals) {
    if (proposal.proposalType !== 'remove') continue;
    tree.removeLeaf(proposal.remove.removed);
    removed.push(proposal.remove.removed);
  }
  for (const { proposal } of proposals) {
    if (proposal.proposalType !== 'add') continue;
    const { keyPackage } = proposal.add;
    const leaf = Leaf.of(keyPackage.leafNode);
    checkNewKeys(tree, leaf, undefined);
    const keyPackageRef = refOf(tree.suite, keyPackage);
    added.push({
      leafIndex: tree.addLeaf(leaf),
      keyPackageRef,
      leaf: keyPackage.leafNode,
      keyPackage,
    });
  }
  return { added, removed, updated, extensions: nextExtensions };
}

/** §7.3: keys that a leaf brings are new; `replaced` may keep its signature key. */
export function checkNewKeys(tree: TreeDiff, leaf: Leaf, replaced: number | undefined): void {
  if (tree.keys.encryption.has(leaf.encryptionKey)) {
    throw invalid('an encryption key is in the tree already (RFC 9420 §7.3)');
  }
  const before = replaced === undefined ? undefined : tree.leafAt(replaced);
  const keeps = before !== undefined && compare(before.signatureKey, leaf.signatureKey) === 0;
  if (!keeps && tree.keys.signature.has(leaf.signatureKey)) {
    throw invalid('a signature key is in the tree already (RFC 9420 §7.3)');
  }
}

export function invalidProposal(message: string): Failure {
  return new Failure('INVALID_PROPOSAL', message);
}

function touchedLeaf(proposal: Proposal, actor: Actor): number {
  if (proposal.proposalType === 'remove' && 'remove' in proposal) return proposal.remove.removed;
  assert(actor.kind === 'member', 'an Update by somebody else was refused before');
  return actor.leafIndex;
}

function addPskId(ids: Set<string>, id: PreSharedKeyID): void {
  const text = toHex(encodePskId(id));
  if (ids.has(text)) throw invalidProposal('a commit has the same PSK twice (RFC 9420 §12.2)');
  ids.add(text);
}
