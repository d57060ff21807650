import { assert } from '@roost/core/assert';
import { compare } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Extension } from 'ts-mls/extension.js';
import type { KeyPackage } from 'ts-mls/keyPackage.js';
import type { LeafNode, LeafNodeUpdate } from 'ts-mls/leafNode.js';
import type { PreSharedKeyID } from 'ts-mls/presharedkey.js';
import type { Proposal, ProposalReinit, Reinit } from 'ts-mls/proposal.js';
import { refOf } from './key-package.ts';
import { invalid } from './message.ts';
import { SUITES } from './suite.ts';
import { KeySet } from './tree-index.ts';
import { checkNewKeys } from './tree-keys.ts';
import { Leaf } from './tree-node.ts';
import type { TreeDiff } from './tree.ts';
import {
  checkEncryptionKey,
  checkGroupExtensions,
  checkKemOutput,
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
  | { readonly kind: 'joiner'; readonly leafIndex: number }
  /** Whoever proposes to be added; only where the caller admits it. */
  | { readonly kind: 'newcomer' };

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
  /** What the group is to be continued as; after that it is read only (RFC 9420 §11.2). */
  readonly reinit: Reinit | undefined;
  /** The GroupContext extensions of the next epoch. */
  readonly extensions: Extension[];
}

/** What a proposal is judged by. */
export interface Scene {
  readonly groupId: Uint8Array;
  readonly epoch: bigint;
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
      return checkPsk(tree, scene, proposal.psk.preSharedKeyId);
    case 'group_context_extensions':
      return checkGroupExtensions(proposal.groupContextExtensions.extensions);
    case 'reinit':
      return checkReinit(scene, proposal.reinit);
    case 'external_init':
      if (actor.kind === 'joiner') {
        return checkKemOutput(tree.suite, proposal.externalInit.kemOutput);
      }
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
  checkLeafCapabilities(tree.suite, leaf);
  checkLeafSignature(tree.suite, leaf, scene.groupId, actor.leafIndex);
}

/** §12.1.4: branch and reinit PSKs belong to the first commit of the other group, which is ours never. */
function checkPsk(tree: TreeDiff, { groupId, epoch }: Scene, id: PreSharedKeyID): void {
  if (id.pskNonce.length !== tree.suite.hashBytes) {
    throw invalidProposal('a PSK nonce has the wrong length (RFC 9420 §12.1.4)');
  }
  if (id.psktype === 'resumption' && id.usage !== 'application') {
    throw invalidProposal('a PSK is for another group (RFC 9420 §12.1.4)');
  }
  const isOwn = id.psktype === 'resumption' && compare(id.pskGroupId, groupId) === 0;
  if (isOwn && id.pskEpoch > epoch) {
    throw invalidProposal('a PSK is of an epoch that is still to come (RFC 9420 §8.6)');
  }
}

/** §12.1.5, §11.2: there is no version but mls10, so that none is lower than ours. */
function checkReinit(scene: Scene, { groupId, cipherSuite, extensions }: Reinit): void {
  if (!SUITES.has(cipherSuite)) {
    throw invalidProposal('a ReInit asks for an unknown ciphersuite (RFC 9420 §12.1.5)');
  }
  const isSane = groupId.length > 0 && groupId.length <= GROUP_ID_BYTES_MAX;
  if (!isSane || compare(groupId, scene.groupId) === 0) {
    throw invalidProposal('a ReInit names no other group (RFC 9420 §11.2)');
  }
  checkGroupExtensions(extensions);
}

const GROUP_ID_BYTES_MAX = 255;

/** §12.3: GroupContextExtensions, then Updates, Removes, Adds, whatever their order in the commit. */
export function applyProposals(
  tree: TreeDiff,
  proposals: readonly ResolvedProposal[],
  extensions: Extension[],
): Effects {
  let nextExtensions = extensions;
  let reinit: Reinit | undefined;
  const updated: number[] = [];
  const removed: number[] = [];
  for (const { proposal } of proposals) {
    if (isReinit(proposal)) reinit = proposal.reinit;
    if (proposal.proposalType !== 'group_context_extensions') continue;
    // Copies, so that the group does not hold on to the whole commit.
    nextExtensions = proposal.groupContextExtensions.extensions.map((extension) => ({
      ...extension,
      extensionData: Uint8Array.from(extension.extensionData),
    }));
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
  return {
    added: applyAdds(tree, proposals),
    removed,
    updated,
    reinit,
    extensions: nextExtensions,
  };
}

function applyAdds(tree: TreeDiff, proposals: readonly ResolvedProposal[]): AddedLeaf[] {
  const added: AddedLeaf[] = [];
  const initKeys = new KeySet();
  for (const { proposal } of proposals) {
    if (proposal.proposalType !== 'add') continue;
    const { keyPackage } = proposal.add;
    const leaf = Leaf.of(keyPackage.leafNode);
    checkNewKeys(tree, leaf, undefined);
    // Who holds the key of a member's leaf, or of another joiner, would read a Welcome not its own.
    if (initKeys.has(keyPackage.initKey) || tree.keys.encryption.has(keyPackage.initKey)) {
      throw invalid('an init key is in use already (RFC 9420 §10)');
    }
    initKeys.add(keyPackage.initKey);
    added.push({
      leafIndex: tree.addLeaf(leaf),
      keyPackageRef: refOf(tree.suite, keyPackage),
      leaf: keyPackage.leafNode,
      keyPackage,
    });
  }
  for (const { leaf } of added) {
    if (initKeys.has(leaf.hpkePublicKey)) {
      throw invalid('an init key is in use already (RFC 9420 §10)');
    }
  }
  return added;
}

function isReinit(proposal: Proposal): proposal is ProposalReinit {
  return proposal.proposalType === 'reinit';
}

export function invalidProposal(message: string): Failure {
  return new Failure('INVALID_PROPOSAL', message);
}

/** The leaf that a Remove or an Update is about. */
export function touchedLeaf(proposal: Proposal, actor: Actor): number {
  if (proposal.proposalType === 'remove' && 'remove' in proposal) return proposal.remove.removed;
  assert(actor.kind === 'member', 'an Update by somebody else was refused before');
  return actor.leafIndex;
}
