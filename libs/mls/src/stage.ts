import { assert } from '@roost/core/assert';
import { compare, concat } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { encode } from '@roost/core/tls';
import { encodeGroupContext } from 'ts-mls/groupContext.js';
import { checkGroupInfo, checkWelcome } from './group-info.ts';
import { invalid } from './message.ts';
import type { CommitMessage, HandshakeMessage, ProposalMessage } from './message.ts';
import {
  applyProposals,
  checkExternalList,
  checkMemberList,
  checkNewKeys,
  checkProposal,
  invalidProposal,
  needsPath,
} from './proposals.ts';
import type { Actor, Effects, ResolvedProposal, Scene } from './proposals.ts';
import { interimHash, proposalKey } from './public-group.ts';
import type { PendingProposal, PublicGroup, StagedCommit, StagedProposal } from './public-group.ts';
import { refHash } from './suite.ts';
import { Leaf } from './tree-node.ts';
import type { Tree, TreeDiff } from './tree.ts';
import { applyPath } from './update-path.ts';
import { checkMembersSupport, externalSenders } from './validation.ts';

/** More proposals than this wait for no commit. */
export const PENDING_PROPOSALS_MAX = 1_000;

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
  checkAddress(group, message);
  const { path } = message.commit;
  const isExternal = message.sender.senderType === 'new_member_commit';
  const committer = isExternal ? undefined : senderOf(group, message);
  if (committer?.kind === 'external') throw invalid('only members commit (RFC 9420 §6)');
  if (isExternal && path === undefined) {
    throw invalid('an external commit has no path (RFC 9420 §12.4.3.2)');
  }
  checkSignature(group, message, isExternal ? path?.leafNode.signaturePublicKey : undefined);

  const scene = { groupId: group.context.groupId, extensions: group.context.extensions, now };
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
  const next = nextGroup(group, message, { tree: tree.finish(), extensions, groupInfo });
  checkMembersSupport(next.tree, next.context);
  const { confirmationTag } = message;
  const expected = { contextTls: next.contextTls, confirmationTag, signer: leafIndex };
  checkGroupInfo(next.tree, groupInfo, expected);
  checkWelcome(group.suite, welcome, effects.added);

  const actor: Actor = { kind: isExternal ? 'joiner' : 'member', leafIndex };
  return {
    kind: 'commit',
    next,
    actor,
    added: effects.added,
    removed: effects.removed,
    updated: path === undefined || isExternal ? effects.updated : [...effects.updated, leafIndex],
    proposals: isExternal ? proposals.map((proposal) => ({ ...proposal, actor })) : proposals,
    authenticatedData: message.authenticatedData,
  };
}

/**
 * Judges a proposal that is sent ahead of its commit; `merge` keeps it until the epoch ends. The
 * same proposal again leads to the same group.
 */
export function stageProposal(
  group: PublicGroup,
  message: ProposalMessage,
  now: number,
): StagedProposal {
  checkAddress(group, message);
  const actor = senderOf(group, message);
  checkSignature(group, message, undefined);
  const { proposal } = message;
  const scene = { groupId: group.context.groupId, extensions: group.context.extensions, now };
  checkProposal(group.tree.change(), scene, { proposal, actor });

  const ref = proposalRef(group, message);
  const pending: PendingProposal = { ref, message, actor };
  const proposals = new Map(group.proposals).set(proposalKey(ref), pending);
  if (proposals.size > PENDING_PROPOSALS_MAX) {
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

/** §6, §12.4.2: the message is for this group and this epoch. */
function checkAddress(group: PublicGroup, message: HandshakeMessage): void {
  if (compare(message.groupId, group.context.groupId) !== 0) {
    throw invalid('the message is for another group (RFC 9420 §6)');
  }
  const currentEpoch = group.context.epoch;
  if (message.epoch === currentEpoch) return;
  const reason = message.epoch < currentEpoch ? 'EPOCH_TOO_OLD' : 'EPOCH_UNKNOWN';
  throw new Failure(reason, 'the message is for another epoch (RFC 9420 §12.4.2)', {
    currentEpoch,
  });
}

/** §6: a sender that exists. Whoever is not yet a member sends external commits only. */
function senderOf(
  group: PublicGroup,
  { sender }: HandshakeMessage,
): Exclude<Actor, { readonly kind: 'joiner' }> {
  switch (sender.senderType) {
    case 'member':
      if (group.tree.leafAt(sender.leafIndex) === undefined) {
        throw invalid('the sender is not a member (RFC 9420 §6)');
      }
      return { kind: 'member', leafIndex: sender.leafIndex };
    case 'external':
      if (externalSenders(group.context.extensions)[sender.senderIndex] === undefined) {
        throw invalid('the sender is not among the external senders (RFC 9420 §12.1.8)');
      }
      return { kind: 'external', senderIndex: sender.senderIndex };
    case 'new_member_proposal':
      throw invalid('nobody proposes itself as a member here (RFC 9420 §12.1.8)');
    case 'new_member_commit':
      throw invalid('a proposal does not come from an external commit (RFC 9420 §6)');
  }
}

/** §6.1. `joinerKey` is the key of the path's leaf, which an external commit is signed with. */
function checkSignature(
  group: PublicGroup,
  message: HandshakeMessage,
  joinerKey: Uint8Array | undefined,
): void {
  const { sender, signedPart, signature } = message;
  const isExternal = sender.senderType === 'external';
  const publicKey =
    joinerKey ??
    (isExternal
      ? externalSenders(group.context.extensions)[sender.senderIndex]?.signaturePublicKey
      : sender.senderType === 'member'
        ? group.tree.leafAt(sender.leafIndex)?.signatureKey
        : undefined);
  const content = isExternal ? signedPart : concat(signedPart, group.contextTls);
  const label = 'FramedContentTBS';
  if (publicKey === undefined || !group.suite.verify({ publicKey, label, content, signature })) {
    throw invalid('the signature of the message does not hold (RFC 9420 §6.1)');
  }
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
  readonly groupInfo: Uint8Array;
}

/** §8.1, §8.2, §12.4.2: the state of the next epoch. Proposals die with their epoch. */
function nextGroup(
  group: PublicGroup,
  message: CommitMessage,
  { tree, extensions, groupInfo }: Outcome,
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
    groupInfoTls: Uint8Array.from(groupInfo),
    proposals: new Map(),
  };
}
