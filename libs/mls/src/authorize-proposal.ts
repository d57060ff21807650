import { assert } from '@roost/core/assert';
import { authorize, notAllowed, refusalOfLimits } from './authorize.ts';
import type { Removal } from './authorize-commit.ts';
import type { Change, Place, Who } from './change.ts';
import { withoutParticipants } from './room.ts';
import type { ParticipantId, RoomState } from './room.ts';

/** A group with what already waits for its next commit. */
export interface Waiting {
  readonly room: RoomState;
  readonly members: ReadonlyMap<number, ParticipantId>;
  /** Removals that were proposed in this epoch, in their order. */
  readonly pending: readonly Removal[];
}

/**
 * Decides on a Remove that is proposed ahead of a commit, with those that wait already: who is the
 * last client to go takes the participant along. Who proposes to remove a client of another means
 * all of them, one proposal for each; a commit that carries only some of them is refused. Throws
 * `NOT_ALLOWED`.
 */
export function authorizeRemoval({ room, members, pending }: Waiting, removal: Removal): void {
  const participant = members.get(removal.leafIndex);
  assert(participant !== undefined, 'MLS removes members only');
  const { who, form } = removal.by;
  const isByAnother = who !== participant && who !== 'hub';
  const meant = isByAnother
    ? [...members].filter(([, each]) => each === participant).map(([leafIndex]) => leafIndex)
    : [removal.leafIndex];
  const waiting = pending.map(({ leafIndex }) => leafIndex);
  const before = staying(room, members, new Set(waiting));
  const after = staying(room, members, new Set([...waiting, ...meant]));
  authorize(before, who, removalStep(who, participant, after), form);
  const sentence = refusalOfLimits(before, after);
  if (sentence !== undefined) throw notAllowed(sentence);
}

function removalStep(who: Who, participant: ParticipantId, after: Place): Change {
  if (after.participants.includes(participant)) return { kind: 'remove_client', participant };
  return who === participant ? { kind: 'leave' } : { kind: 'remove', participants: [participant] };
}

/** The place as it is once these leaves are gone. */
function staying(
  room: RoomState,
  members: ReadonlyMap<number, ParticipantId>,
  going: ReadonlySet<number>,
): Place {
  const stay = new Set<ParticipantId>();
  for (const [leafIndex, participant] of members) if (!going.has(leafIndex)) stay.add(participant);
  const gone = [...new Set(members.values())].filter((each) => !stay.has(each));
  return { room: withoutParticipants(room, gone), participants: [...stay] };
}
