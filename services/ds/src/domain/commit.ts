import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { authorize, roleOf } from '@roost/mls/room';
import type { ParticipantId, RoomState } from '@roost/mls/room';
import { participantsOf, rosterOf } from './roster.ts';
import type { Member, QueueConfig, Roster } from './roster.ts';

/** What a commit does to the roster and the room, once MLS has no objection. */
export interface CommitEffect {
  readonly committer: Member;
  /** In the order of the Adds. */
  readonly added: readonly AddedMember[];
  /** Leaves that the committer takes out. */
  readonly removed: ReadonlySet<number>;
  /** Leaves that asked to go, and go with this commit. */
  readonly left: ReadonlySet<number>;
  readonly roomBefore: RoomState;
  readonly roomAfter: RoomState;
}

export interface AddedMember {
  readonly leafIndex: number;
  readonly signatureKey: Uint8Array;
  readonly participant: ParticipantId;
  readonly wrappedLinkKey: Uint8Array;
  readonly queue: QueueConfig;
}

/** What the committer declares of a leaf (`AddedLeaf` of the CommitAad). */
export interface DeclaredLeaf {
  readonly leafSignatureKey: Uint8Array;
}

/** Refuses declarations that are not of exactly these leaves, in this order. */
export function matchDeclared(
  keys: readonly Uint8Array[],
  declared: readonly DeclaredLeaf[],
): void {
  const isMatch =
    keys.length === declared.length &&
    keys.every((key, at) => equal(key, declared[at]?.leafSignatureKey ?? NOTHING));
  if (!isMatch) {
    throw new Failure(
      'MALFORMED',
      'authenticated_data: does not name exactly the leaves that the commit adds, in their order',
    );
  }
}

/** Throws `NOT_ALLOWED` where the room's policy is against any part of the commit. */
export function authorizeCommit(roster: Roster, effect: CommitEffect): void {
  const before = participantsOf(roster.members);
  const actor = effect.committer.participant;
  const change = changesOf(roster, effect);

  authorize(effect.roomBefore, before, actor, { kind: 'update' });
  for (const participant of change.clientsAdded) {
    authorize(effect.roomBefore, before, actor, { kind: 'add_client', participant });
  }
  for (const participant of change.clientsRemoved) {
    authorize(effect.roomBefore, before, actor, { kind: 'remove_client', participant });
  }
  if (change.added.length > 0) {
    authorize(effect.roomBefore, before, actor, { kind: 'add', participants: change.added });
  }
  if (change.removed.length > 0) {
    authorize(effect.roomBefore, before, actor, { kind: 'remove', participants: change.removed });
  }
  authorize(effect.roomBefore, change.after, actor, { kind: 'room', next: effect.roomAfter });
  refuseInheritedRole(effect, change.added);
}

/** The roster of the epoch that the commit leads to. */
export function rosterAfter(roster: Roster, effect: CommitEffect, epoch: bigint): Roster {
  const stayed = roster.members
    .filter(({ leafIndex }) => !effect.removed.has(leafIndex) && !effect.left.has(leafIndex))
    .map((member) =>
      member.leafIndex === effect.committer.leafIndex ? { ...member, hasCommitted: true } : member,
    );
  const entered = effect.added.map((added) => memberOf(added, epoch, false));
  return rosterOf([...stayed, ...entered], roster.joinSecretHash);
}

/**
 * The roster after an external commit. The secret is used up; proposals by reference end with their
 * epoch, so that who was leaving has to say so again.
 */
export function rosterAfterJoin(roster: Roster, joined: AddedMember, epoch: bigint): Roster {
  const stayed = roster.members.map((member) => ({ ...member, isLeaving: false }));
  return rosterOf([...stayed, memberOf(joined, epoch, true)], undefined);
}

/** Judges a proposal to leave: by the last client of a participant it is the participant's leaving. */
export function authorizeLeave(roster: Roster, room: RoomState, leaver: Member): void {
  const staying = roster.members.filter(({ isLeaving }) => !isLeaving);
  const actor = leaver.participant;
  const siblingStays = staying.some(
    ({ participant, leafIndex }) => participant === actor && leafIndex !== leaver.leafIndex,
  );
  const participants = participantsOf(staying);
  if (siblingStays) {
    authorize(room, participants, actor, { kind: 'remove_client', participant: actor });
    return;
  }
  authorize(room, participants, actor, { kind: 'leave' });
  if (participants.some((participant) => participant !== actor)) return;
  throw new Failure('NOT_ALLOWED', 'nobody stays who could let you go; delete the group instead');
}

const NOTHING = new Uint8Array(0);

interface ParticipantChanges {
  readonly added: readonly ParticipantId[];
  readonly removed: readonly ParticipantId[];
  readonly clientsAdded: readonly ParticipantId[];
  readonly clientsRemoved: readonly ParticipantId[];
  readonly after: readonly ParticipantId[];
}

/** Turns leaves into participants: all clients of one come and go together. */
function changesOf(roster: Roster, { added, removed, left }: CommitEffect): ParticipantChanges {
  const before = new Set(participantsOf(roster.members));
  const stayed = roster.members.filter(
    ({ leafIndex }) => !removed.has(leafIndex) && !left.has(leafIndex),
  );
  const staying = new Set(participantsOf(stayed));
  const touched = participantsOf(roster.members.filter(({ leafIndex }) => removed.has(leafIndex)));
  const entering = [...new Set(added.map(({ participant }) => participant))];

  const back = entering.find((each) => before.has(each) && !staying.has(each));
  if (back !== undefined) {
    throw new Failure('NOT_ALLOWED', 'nobody is removed and added again by one commit');
  }
  return {
    added: entering.filter((each) => !before.has(each)),
    removed: touched.filter((each) => !staying.has(each)),
    clientsAdded: entering.filter((each) => before.has(each)),
    clientsRemoved: touched.filter((each) => staying.has(each)),
    after: [...new Set([...staying, ...entering])],
  };
}

/** An entry that outlived its participant's last stay gives nobody a role by being added again. */
function refuseInheritedRole(
  { committer, roomBefore, roomAfter }: CommitEffect,
  added: readonly ParticipantId[],
): void {
  if (roleOf(roomBefore, committer.participant) === 'owner') return;
  if (added.every((each) => roleOf(roomAfter, each) === roomAfter.defaultRole)) return;
  throw new Failure('NOT_ALLOWED', 'only an owner of the group gives roles');
}

function memberOf(added: AddedMember, joinedEpoch: bigint, hasCommitted: boolean): Member {
  const { leafIndex, signatureKey, participant, wrappedLinkKey, queue } = added;
  return {
    leafIndex,
    signatureKey,
    participant,
    wrappedLinkKey,
    queue,
    joinedEpoch,
    hasCommitted,
    isLeaving: false,
  };
}
