import { compare, concat, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { encode } from '@roost/core/tls';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import type { GroupContext } from 'ts-mls/groupContext.js';
import type { LeafNode } from 'ts-mls/leafNode.js';
import type { Reinit } from 'ts-mls/proposal.js';
import { EXTENSION, extensionOf } from './extensions.ts';
import { checkGroupInfoItself } from './group-info.ts';
import { invalid, parseGroupInfo } from './message.ts';
import type { ProposalMessage } from './message.ts';
import type { Actor, AddedLeaf, ResolvedProposal } from './proposals.ts';
import { decodeTree, encodeTree } from './ratchet-tree.ts';
import { decodeRoomState } from './room.ts';
import type { RoomState } from './room.ts';
import { suiteOf } from './suite.ts';
import type { MlsCrypto, Suite } from './suite.ts';
import { validateTree } from './tree-validation.ts';
import type { Tree } from './tree.ts';
import { checkGroupExtensions, checkLifetime, checkMembersSupport } from './validation.ts';

/**
 * What a server may hold of an MLS group: the tree, the GroupContext, the pending proposals. It has
 * no secret. Immutable; `stageCommit` and `stageProposal` lead to another one by `merge`.
 */
export interface PublicGroup {
  readonly suite: Suite;
  readonly context: GroupContext;
  /** The context as it is signed and compared. */
  readonly contextTls: Uint8Array;
  readonly tree: Tree;
  /** RFC 9420 §8.2. */
  readonly interimTranscriptHash: Uint8Array;
  /** The last GroupInfo that was found to agree, as an MLSMessage: for whoever joins externally. */
  readonly groupInfoTls: Uint8Array;
  /** By the hex of their refs; of this epoch only. */
  readonly proposals: ReadonlyMap<string, PendingProposal>;
}

export interface PendingProposal {
  readonly ref: Uint8Array;
  readonly message: ProposalMessage;
  readonly actor: Actor;
}

/** A commit that was found good, with what follows from it. */
export interface StagedCommit {
  readonly kind: 'commit';
  /** The group after the commit. */
  readonly next: PublicGroup;
  /** A member, or a joiner with the place that it gets. */
  readonly actor: Actor;
  /** Those added by KeyPackage. A joiner is not among them: see `actor` and `leafOf(next, …)`. */
  readonly added: readonly AddedLeaf[];
  /** Leaf indexes in the group before the commit. A resync removes the joiner's own old leaf. */
  readonly removed: readonly number[];
  /** Leaf indexes whose keys were renewed, by an Update or by the path. */
  readonly updated: readonly number[];
  /** What the group is to be continued as: from here on it is read only (RFC 9420 §11.2). */
  readonly reinit: Reinit | undefined;
  readonly proposals: readonly ResolvedProposal[];
  readonly authenticatedData: Uint8Array;
}

/** A standalone proposal that was found good. */
export interface StagedProposal {
  readonly kind: 'proposal';
  readonly next: PublicGroup;
  readonly actor: Actor;
  readonly proposal: ResolvedProposal;
  readonly authenticatedData: Uint8Array;
}

/** Makes what was staged the group. */
export function merge(staged: StagedCommit | StagedProposal): PublicGroup {
  return staged.next;
}

/**
 * Builds the public group from the creator's GroupInfo (an MLSMessage, without the tree) and its
 * ratchet tree, after holding both to RFC 9420 §12.4.3.1.
 */
export function createPublicGroup(
  crypto: MlsCrypto,
  groupInfoTls: Uint8Array,
  treeTls: Uint8Array,
  now: number,
): PublicGroup {
  const info = parseGroupInfo(groupInfoTls);
  const context = info.groupContext;
  const suite = suiteOf(crypto, context.cipherSuite);
  const tree = decodeTree(suite, treeTls);
  if (compare(tree.rootHash(), context.treeHash) !== 0) {
    throw invalid('the ratchet tree is not that of the GroupInfo (RFC 9420 §12.4.3.1)');
  }
  validateTree(tree, context.groupId);
  for (const leafIndex of tree.leafIndexes()) {
    const leaf = tree.leafAt(leafIndex);
    if (leaf !== undefined) checkLifetime(leaf.node, now);
  }
  checkGroupExtensions(context.extensions);
  checkMembersSupport(tree, context);
  checkGroupInfoItself(tree, info);
  return {
    suite,
    context,
    contextTls: encodeGroupContext(context),
    tree,
    interimTranscriptHash: interimHash(
      suite,
      context.confirmedTranscriptHash,
      info.confirmationTag,
    ),
    groupInfoTls: Uint8Array.from(groupInfoTls),
    proposals: new Map(),
  };
}

/** §8.2. */
export function interimHash(
  suite: Suite,
  confirmedTranscriptHash: Uint8Array,
  confirmationTag: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const input = encode((writer) => writer.opaque(confirmationTag));
  return suite.hash(concat(confirmedTranscriptHash, input));
}

/** The ratchet tree as joiners get it: the contents of a ratchet_tree extension. */
export function treeBytes(group: PublicGroup): Uint8Array<ArrayBuffer> {
  return encodeTree(group.tree);
}

/** The leaf of a member; `undefined` where the place is blank. */
export function leafOf(group: PublicGroup, leafIndex: number): LeafNode | undefined {
  return group.tree.leafAt(leafIndex)?.node;
}

/** The leaf indexes of the members, ascending. */
export function membersOf(group: PublicGroup): number[] {
  return group.tree.leafIndexes();
}

/** The contents of a GroupContext extension by its number. */
export function groupExtension(group: PublicGroup, type: number): Uint8Array | undefined {
  return extensionOf(group.context.extensions, type);
}

/** The room state; refuses a group without one. */
export function roomOf(group: PublicGroup): RoomState {
  const contents = groupExtension(group, EXTENSION.roomState);
  if (contents === undefined) throw new Failure('INVALID_MLS', 'the group has no room state');
  return decodeRoomState(contents);
}

/** The key of a pending proposal in `PublicGroup.proposals`. */
export function proposalKey(ref: Uint8Array): string {
  return toHex(ref);
}
