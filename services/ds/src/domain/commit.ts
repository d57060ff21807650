import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { roleOf } from '@roost/mls/room';
import type { ParticipantId, RoomState } from '@roost/mls/room';
import { rosterOf, speakingIn } from './roster.ts';
import type { Member, QueueConfig, Roster } from './roster.ts';

/** What a commit does to the roster, once MLS and the rules of rooms have no objection. */
export interface CommitEffect {
  readonly committer: Member;
  /** In the order of the Adds. */
  readonly added: readonly AddedMember[];
  /** Leaves that go, whoever wanted it. */
  readonly removed: ReadonlySet<number>;
  readonly roomBefore: RoomState;
  readonly roomAfter: RoomState;
  /** The group was given up for another. */
  readonly isFrozen: boolean;
  /** SHA-256 of the hub's policy that the commit could have carried, and left out. */
  readonly refusedPolicy: Uint8Array | undefined;
}

export interface AddedMember {
  readonly leafIndex: number;
  readonly signatureKey: Uint8Array;
  readonly participant: ParticipantId;
  readonly wrappedLinkKey: Uint8Array;
  readonly queue: QueueConfig;
  /** The month that it comes in. */
  readonly activeMonth: number;
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

/** The roster of the epoch that the commit leads to. */
export function rosterAfter(roster: Roster, effect: CommitEffect, epoch: bigint): Roster {
  const { committer, removed, added, roomBefore, roomAfter } = effect;
  const entries = new Map(roomAfter.entries.map(({ participant, role }) => [participant, role]));
  const isOther = roomBefore !== roomAfter;
  const stayed = roster.members
    .filter(({ leafIndex }) => !removed.has(leafIndex))
    .map((member) => {
      const role = isOther
        ? (entries.get(member.participant) ?? roomAfter.defaultRole)
        : member.role;
      const hasCommitted = member.hasCommitted || member.leafIndex === committer.leafIndex;
      return role === member.role && hasCommitted === member.hasCommitted
        ? member
        : { ...member, role, hasCommitted };
    });
  const entered = added.map((each) =>
    memberOf(each, { role: roleOf(roomAfter, each.participant), epoch, hasCommitted: false }),
  );
  return rosterOf([...stayed, ...entered], {
    joinSecretHash: roster.joinSecretHash,
    pending: 0,
    refusedPolicy: effect.refusedPolicy ?? roster.refusedPolicy,
    isFrozen: effect.isFrozen,
    speaking: isOther ? speakingIn(roomAfter) : roster.speaking,
  });
}

/**
 * The roster after an external commit of somebody new. The secret is used up. Proposals by reference end
 * with their epoch; of those who are leaving the hub proposes the removal again.
 */
export function rosterAfterJoin(
  roster: Roster,
  { joined, room }: { readonly joined: AddedMember; readonly room: RoomState },
  epoch: bigint,
): Roster {
  const role = roleOf(room, joined.participant);
  return rosterOf([...roster.members, memberOf(joined, { role, epoch, hasCommitted: true })], {
    ...roster,
    joinSecretHash: undefined,
    pending: 0,
  });
}

const NOTHING = new Uint8Array(0);

function memberOf(
  added: AddedMember,
  entered: Pick<Member, 'role' | 'hasCommitted'> & { readonly epoch: bigint },
): Member {
  const { leafIndex, signatureKey, participant, wrappedLinkKey, queue, activeMonth } = added;
  const { role, epoch, hasCommitted } = entered;
  return {
    leafIndex,
    signatureKey,
    participant,
    role,
    wrappedLinkKey,
    queue,
    joinedEpoch: epoch,
    hasCommitted,
    isLeaving: false,
    activeMonth,
    resyncs: { day: 0, count: 0 },
  };
}
