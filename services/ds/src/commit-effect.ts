import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { monthOf } from '@roost/core/time';
import { authorizeCommit } from '@roost/mls/authorize-commit';
import type { Removal } from '@roost/mls/authorize-commit';
import type { Waiting } from '@roost/mls/authorize-proposal';
import { deedsOf } from '@roost/mls/deeds';
import { EXTENSION, extensionOf, typeOf } from '@roost/mls/extensions';
import { encodePolicy } from '@roost/mls/policy';
import { roomOf } from '@roost/mls/public-group';
import type { PendingProposal, PublicGroup, StagedCommit } from '@roost/mls/public-group';
import { decodeRoomState } from '@roost/mls/room';
import type { ParticipantId, RoomState } from '@roost/mls/room';
import type { Desk } from './desk.ts';
import { matchDeclared } from './domain/commit.ts';
import type { AddedMember, CommitEffect } from './domain/commit.ts';
import { assertNotFrozen } from './domain/roster.ts';
import type { Member, Roster } from './domain/roster.ts';
import {
  assertPseudonym,
  assertSameLeaf,
  parseDeclaredLeaves,
  parseAddedQueueConfig,
} from './leaves.ts';

/**
 * Holds a commit that MLS has no objection to against the rules of rooms (design §6), and says what
 * it does to the roster.
 */
export function judgeCommit(
  desk: Desk,
  group: PublicGroup,
  { roster, committer }: { readonly roster: Roster; readonly committer: Member },
  staged: StagedCommit,
): CommitEffect {
  assertNotFrozen(roster);
  const pending = pendingOf(group, roster);
  assertCarries(staged, pending.binding, committer);
  assertSameExtensions(group, staged.next);
  for (const leafIndex of staged.updated) assertSameLeaf(group, staged.next, leafIndex);

  const added = addedMembers(desk, staged);
  const { roomBefore, roomAfter } = roomsOf(group, staged);
  const { isFrozen } = authorizeCommit(
    deedsOf({
      groupId: group.context.groupId,
      members: participantsByLeaf(roster),
      committer: committer.participant,
      isExternal: false,
      proposals: staged.proposals,
      added: added.map(({ participant }) => participant),
      roomBefore,
      roomAfter,
    }),
  );
  const removed = new Set(staged.removed);
  const size = roster.members.length + added.length - removed.size;
  const { membersMax } = desk.config.limits;
  if (added.length > 0 && size > membersMax) {
    throw new Failure('LIMIT_REACHED', `a group has at most ${membersMax} clients`);
  }
  const refusedPolicy =
    pending.binding.length === 0 ? leftOutPolicy(desk, staged, pending.policies) : undefined;
  return { committer, added, removed, roomBefore, roomAfter, isFrozen, refusedPolicy };
}

/**
 * Holds an external commit against the rules of rooms: whether the participant that it declares may
 * come in, or come back.
 */
export function authorizeEntry(
  group: PublicGroup,
  roster: Roster,
  staged: StagedCommit,
  participant: ParticipantId,
): RoomState {
  assertNotFrozen(roster);
  const { place } = authorizeCommit(
    deedsOf({
      groupId: group.context.groupId,
      members: participantsByLeaf(roster),
      committer: participant,
      isExternal: true,
      proposals: staged.proposals,
      added: [],
      ...roomsOf(group, staged),
    }),
  );
  return place.room;
}

/** A group with the Removes that wait in it, as `authorizeRemoval` wants them. */
export function waitingOf(group: PublicGroup, roster: Roster): Waiting {
  const { removals } = pendingOf(group, roster);
  return { room: roomOf(group), members: participantsByLeaf(roster), pending: removals };
}

/** Whatever a commit or a GroupInfo says beside the room, it says since the group was founded. */
export function assertSameExtensions(before: PublicGroup, after: PublicGroup): void {
  const [old, renewed] = [before.context.extensions, after.context.extensions];
  const isSame =
    old.length === renewed.length &&
    old.every((extension) => {
      const type = typeOf(extension);
      const contents = extensionOf(renewed, type);
      if (contents === undefined) return false;
      return type === EXTENSION.roomState || equal(contents, extension.extensionData);
    });
  if (isSame) return;
  throw new Failure('NOT_ALLOWED', 'of the group context, only the room state is changed');
}

/** The rooms before and after a commit: one and the same where it does not speak of it. */
function roomsOf(group: PublicGroup, staged: StagedCommit) {
  const roomBefore = roomOf(group);
  const speaks = staged.proposals.some(({ proposal }) => 'groupContextExtensions' in proposal);
  return { roomBefore, roomAfter: speaks ? roomOf(staged.next) : roomBefore };
}

function participantsByLeaf({ members }: Roster): ReadonlyMap<number, ParticipantId> {
  return new Map(members.map(({ leafIndex, participant }) => [leafIndex, participant]));
}

interface Pending {
  readonly removals: readonly Removal[];
  /** Who wants to go, goes, and whom the hub takes out: with the next commit, whoever makes it. */
  readonly binding: readonly PendingProposal[];
  /** Policies that the hub proposes. */
  readonly policies: readonly PendingProposal[];
}

function pendingOf(group: PublicGroup, roster: Roster): Pending {
  const members = participantsByLeaf(roster);
  const removals: Removal[] = [];
  const binding: PendingProposal[] = [];
  const policies: PendingProposal[] = [];
  for (const pending of group.proposals.values()) {
    const { actor, message } = pending;
    const { proposal } = message;
    const isHub = actor.kind === 'external';
    if ('remove' in proposal) {
      const leafIndex = proposal.remove.removed;
      const who = actor.kind === 'member' ? (members.get(actor.leafIndex) ?? 'hub') : 'hub';
      const form = isHub ? 'external' : 'by-reference';
      removals.push({ leafIndex, by: { who, form } });
      if (isHub || who === members.get(leafIndex)) binding.push(pending);
    } else if (isHub && 'groupContextExtensions' in proposal) {
      policies.push(pending);
    }
  }
  return { removals, binding, policies };
}

function carries({ proposals }: StagedCommit, pending: PendingProposal): boolean {
  return proposals.some(({ ref }) => ref !== undefined && equal(ref, pending.ref));
}

/** Nobody commits the own removal (RFC 9420 §12.2): that of the committer is proposed again. */
function assertCarries(
  staged: StagedCommit,
  binding: readonly PendingProposal[],
  { leafIndex }: Member,
): void {
  const removesCommitter = ({ message: { proposal } }: PendingProposal): boolean =>
    'remove' in proposal && proposal.remove.removed === leafIndex;
  if (binding.every((each) => carries(staged, each) || removesCommitter(each))) return;
  throw new Failure(
    'INVALID_PROPOSAL',
    'a member is leaving or is removed by the hub, and the commit does not carry the proposal',
  );
}

/** The hash of a policy of the hub that the commit left out, though nothing kept it from it. */
function leftOutPolicy(
  { crypto }: Desk,
  staged: StagedCommit,
  policies: readonly PendingProposal[],
): Uint8Array | undefined {
  const leftOut = policies.find((pending) => !carries(staged, pending));
  const proposal = leftOut?.message.proposal;
  if (proposal === undefined || !('groupContextExtensions' in proposal)) return undefined;
  const { extensions } = proposal.groupContextExtensions;
  const contents = extensionOf(extensions, EXTENSION.roomState);
  if (contents === undefined) return undefined;
  return crypto.sha256(encodePolicy(decodeRoomState(contents).roles));
}

function addedMembers(desk: Desk, { added, authenticatedData }: StagedCommit): AddedMember[] {
  const declared = parseDeclaredLeaves(authenticatedData);
  const keys = added.map(({ leaf }) => leaf.signaturePublicKey);
  matchDeclared(keys, declared);
  const activeMonth = monthOf(desk.clock.now());
  return added.map(({ leafIndex, leaf, keyPackage }, at) => {
    assertPseudonym(leaf);
    const contents = extensionOf(keyPackage.extensions, EXTENSION.queueConfig);
    if (contents === undefined) {
      throw new Failure('INVALID_MLS', 'a KeyPackage does not say where its owner is reached');
    }
    const queue = parseAddedQueueConfig(contents, desk, 'commit');
    const { leafSignatureKey, participant, wrappedLinkKey } = declared[at] ?? missing();
    const signatureKey = leafSignatureKey;
    return { leafIndex, signatureKey, participant, wrappedLinkKey, queue, activeMonth };
  });
}

function missing(): never {
  throw new Failure('MALFORMED', 'authenticated_data: a leaf is not declared');
}
