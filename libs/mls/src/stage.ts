import { assert } from '@roost/core/assert';
import { concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { encode } from '@roost/core/tls';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { checkGroupInfo, checkWelcome } from './group-info.ts';
import { invalid } from './message.ts';
import type { CommitMessage, ProposalMessage } from './message.ts';
import { checkExternalList, checkMemberList, needsPath } from './proposal-list.ts';
import { applyProposals, checkProposal, invalidProposal } from './proposals.ts';
import type { Actor, Effects, ResolvedProposal, Scene } from './proposals.ts';
import { interimHash, proposalKey } from './public-group.ts';
import type { PendingProposal, PublicGroup, StagedCommit, StagedProposal } from './public-group.ts';
import { checkAddress, checkAuthentication, senderOf } from './sender.ts';
import { refHash } from './suite.ts';
import { checkNewKeys } from './tree-keys.ts';
import { Leaf } from './tree-node.ts';
import type { Tree, TreeDiff } from './tree.ts';
import { applyPath } from './update-path.ts';
import { checkMembersSupport } from './validation.ts';

/** More proposals than this wait for no commit. */
export const PENDING_PROPOSALS_MAX = 1_000;
/** Nor more of their bytes: a commit has to be answered with all of them at hand. */
export const PENDING_PROPOSALS_BYTES_MAX = 2 * 1024 * 1024;

export interface CommitContext {
  /** The committer's GroupInfo of the next epoch, an MLSMessage without the ratchet tree. */
  readonly groupInfo: Uint8Array;
  /** The Welcome for those whom the commit adds, an MLSMessage. */
  readonly welcome?: Uint8Array | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Judges a commit by everything that RFC 9420 lets a server see (standards §2.1) and says what
 * would follow. Changes nothing; `merge` makes it the group. A commit for another epoch is told
 * apart by its reason; better ask `message.epoch` before, and answer with the commits it lacks.
 */
export function stageCommit(
  group: PublicGroup,
  message: CommitMessage,
  { groupInfo, welcome, now }: CommitContext,
): StagedCommit {
  const { staged, signer } = followCommit(group, message, now);
  const { contextTls, tree } = staged.next;
  const { confirmationTag } = message;
  checkGroupInfo(tree, groupInfo, { contextTls, confirmationTag, signer });
  checkWelcome(group.suite, welcome, staged.added);
  return { ...staged, next: { ...staged.next, groupInfoTls: Uint8Array.from(groupInfo) } };
}

/** A commit that was judged by itself, and the leaf that has to sign the GroupInfo after it. */
export interface FollowedCommit {
  readonly staged: StagedCommit;
  readonly signer: number;
}

/**
 * What `stageCommit` says of the commit alone: for whoever has no GroupInfo to compare. The group
 * that follows keeps the GroupInfo of the epoch before.
 */
export function followCommit(
  group: PublicGroup,
  message: CommitMessage,
  now: number,
): FollowedCommit {
  checkAddress(group, message);
  const { path } = message.commit;
  const isExternal = message.sender.senderType === 'new_member_commit';
  const committer = isExternal ? undefined : senderOf(group, message, false);
  if (committer !== undefined && committer.kind !== 'member') {
    throw invalid('only members commit (RFC 9420 §6)');
  }
  if (isExternal && path === undefined) {
    throw invalid('an external commit has no path (RFC 9420 §12.4.3.2)');
  }
  checkAuthentication(group, message);

  const scene = { ...group.context, now };
  const tree = group.tree.change();
  const proposals = resolveProposals(group, message, committer);
  checkList(tree, scene, proposals, committer);
  const effects = applyProposals(tree, proposals, group.context.extensions);
  if (path === undefined && needsPath(proposals)) {
    throw invalid('the commit has no path and needs one (RFC 9420 §12.4)');
  }

  const leafIndex = committer?.leafIndex ?? addJoiner(tree, message);
  if (path !== undefined) {
    const added = effects.added.map((leaf) => leaf.leafIndex);
    applyPath(tree, path, { groupId: group.context.groupId, leafIndex, added, isExternal });
  }
  const { extensions } = effects;
  const next = nextGroup(group, message, { tree: tree.finish(), extensions });
  checkMembersSupport(next.tree, next.context);

  const actor: Actor = { kind: isExternal ? 'joiner' : 'member', leafIndex };
  const staged: StagedCommit = {
    kind: 'commit',
    next,
    actor,
    added: effects.added,
    removed: effects.removed,
    reinit: effects.reinit,
    updated: path === undefined || isExternal ? effects.updated : [...effects.updated, leafIndex],
    proposals: isExternal ? proposals.map((proposal) => ({ ...proposal, actor })) : proposals,
    authenticatedData: message.authenticatedData,
  };
  return { staged, signer: leafIndex };
}

export interface ProposalRules {
  /** Whether somebody who is no member may propose its own Add (RFC 9420 §12.1.8). */
  readonly admitNewMemberProposals: boolean;
}

/**
 * Judges a proposal that is sent ahead of its commit; `merge` keeps it until the epoch ends. The
 * same proposal again leads to the same group.
 */
export function stageProposal(
  group: PublicGroup,
  message: ProposalMessage,
  now: number,
  { admitNewMemberProposals }: ProposalRules = { admitNewMemberProposals: false },
): StagedProposal {
  checkAddress(group, message);
  const actor = senderOf(group, message, admitNewMemberProposals);
  checkAuthentication(group, message);
  const { proposal } = message;
  const scene = { ...group.context, now };
  checkProposal(group.tree.change(), scene, { proposal, actor });

  const ref = proposalRef(group, message);
  const pending: PendingProposal = { ref, message, actor };
  const proposals = new Map(group.proposals).set(proposalKey(ref), pending);
  let bytes = 0;
  for (const {
    message: { tls },
  } of proposals.values())
    bytes += tls.length;
  if (proposals.size > PENDING_PROPOSALS_MAX || bytes > PENDING_PROPOSALS_BYTES_MAX) {
    throw new Failure('LIMIT_REACHED', 'too many proposals wait for a commit');
  }
  return {
    kind: 'proposal',
    next: { ...group, proposals },
    actor,
    proposal: { proposal, actor, ref },
    authenticatedData: message.authenticatedData,
  };
}

/** The ProposalRef of a message (RFC 9420 §5.2). */
export function proposalRef(group: PublicGroup, message: ProposalMessage): Uint8Array {
  return refHash(group.suite, 'Proposal Reference', message.authenticatedContent);
}

/** Until its proposals are applied, nobody knows which place an external committer gets. */
const JOINER_WITHOUT_PLACE: Actor = { kind: 'joiner', leafIndex: 0 };

/** §12.4: proposals by value are the committer's, those by reference are looked up. */
function resolveProposals(
  group: PublicGroup,
  { commit }: CommitMessage,
  committer: Actor | undefined,
): ResolvedProposal[] {
  return commit.proposals.map((item): ResolvedProposal => {
    if (item.proposalOrRefType === 'proposal') {
      const actor = committer ?? JOINER_WITHOUT_PLACE;
      return { proposal: item.proposal, actor, ref: undefined };
    }
    const pending = group.proposals.get(proposalKey(item.reference));
    if (pending === undefined) {
      throw invalidProposal('the commit refers to a proposal that is not here (RFC 9420 §12.4)');
    }
    const { message, actor, ref } = pending;
    return { proposal: message.proposal, actor, ref };
  });
}

function checkList(
  tree: TreeDiff,
  scene: Scene,
  proposals: readonly ResolvedProposal[],
  committer: { readonly leafIndex: number } | undefined,
): void {
  if (committer === undefined) checkExternalList(proposals);
  else checkMemberList(proposals, committer.leafIndex);
  for (const proposal of proposals) checkProposal(tree, scene, proposal);
}

/** §12.4.3.2: who enters takes the leftmost free place after the Remove was applied. */
function addJoiner(tree: TreeDiff, { commit }: CommitMessage): number {
  assert(commit.path !== undefined, 'the path of an external commit was asked for before');
  const leaf = Leaf.of(commit.path.leafNode);
  checkNewKeys(tree, leaf, undefined);
  return tree.addLeaf(leaf);
}

interface Outcome {
  readonly tree: Tree;
  readonly extensions: Effects['extensions'];
}

/** §8.1, §8.2, §12.4.2: the state of the next epoch. Proposals die with their epoch. */
function nextGroup(
  group: PublicGroup,
  message: CommitMessage,
  { tree, extensions }: Outcome,
): PublicGroup {
  const { suite } = group;
  // ConfirmedTranscriptHashInput is `wire_format, content, signature`.
  const signature = encode((writer) => writer.opaque(message.signature));
  const input = concat(message.signedPart.subarray(2), signature);
  const confirmedTranscriptHash = suite.hash(concat(group.interimTranscriptHash, input));
  const context = {
    ...group.context,
    epoch: group.context.epoch + 1n,
    treeHash: tree.rootHash(),
    confirmedTranscriptHash,
    extensions,
  };
  return {
    suite,
    context,
    contextTls: encodeGroupContext(context),
    tree,
    interimTranscriptHash: interimHash(suite, confirmedTranscriptHash, message.confirmationTag),
    groupInfoTls: group.groupInfoTls,
    proposals: new Map(),
  };
}
