import { encodeGroupEvent } from '@roost/bus/group-event';
import { equal, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { monthOf } from '@roost/core/time';
import { authorize } from '@roost/mls/authorize';
import { EXTENSION, typeOf } from '@roost/mls/extensions';
import { makeHubProposal } from '@roost/mls/hub';
import { encodePolicy } from '@roost/mls/policy';
import { roomOf } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { decodeRoomState, encodeRoomState } from '@roost/mls/room';
import type { RoomState } from '@roost/mls/room';
import { PENDING_PROPOSALS_MAX } from '@roost/mls/stage';
import { templateNamed } from '@roost/mls/templates';
import type { Executor } from '@roost/postgres/executor';
import { waitingOf } from './commit-effect.ts';
import { mlsGroupId } from './desk.ts';
import type { Desk } from './desk.ts';
import { dueRemovals, isAnybodyAway } from './domain/due.ts';
import { participantsOf } from './domain/roster.ts';
import type { Roster } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import { queueDigest } from './fan-out.ts';
import { deleteDeadQueues, findDeadQueues } from './store/dead-queues.ts';
import type { GroupRow } from './store/groups.ts';

/** A group in an epoch in which the hub may propose something. */
export interface Tended {
  readonly ear: Ear;
  readonly row: GroupRow;
  /** With what waits in it. */
  readonly group: PublicGroup;
  readonly roster: Roster;
  /** Who just showed to be alive. */
  readonly actor: number;
  readonly acceptedAtMs: bigint;
}

/** Removals that the hub proposes, by their leaves and as GroupEvents. */
export interface Due {
  readonly leaves: readonly number[];
  readonly events: readonly Uint8Array[];
}

/** What the hub has to propose now. */
export async function dueNow(desk: Desk, tx: Executor, tended: Tended): Promise<Due> {
  const { group, roster, actor, acceptedAtMs } = tended;
  const dead = await deadLeaves(desk, tx, tended);
  const inactiveBefore = inactiveBeforeOf(desk, Number(acceptedAtMs));
  const isCalm =
    dead.size === 0 &&
    !isAnybodyAway(roster, inactiveBefore) &&
    !roster.members.some(({ isLeaving }) => isLeaving);
  if (isCalm) return { leaves: [], events: [] };
  const waiting = waitingOf(group, roster);
  const free = Math.max(0, PENDING_PROPOSALS_MAX - group.proposals.size);
  const leaves = dueRemovals({ roster, waiting, dead, actor, inactiveBefore }).slice(0, free);
  const events = leaves.map((removed) =>
    eventOf(desk, tended, { proposalType: 'remove', remove: { removed } }),
  );
  return { leaves, events };
}

/** Whoever was last active before this month is as good as gone. */
export function inactiveBeforeOf({ config }: Desk, now: number): number {
  return monthOf(now) - config.limits.inactiveMonths;
}

/**
 * The policy that the operator wants for rooms of this kind, as a GroupEvent: where the room has
 * another, its members did not refuse it, and it fits the room.
 */
export function policyEvent(desk: Desk, tended: Tended): Uint8Array | undefined {
  const { group, roster } = tended;
  const next = wantedRoom(desk, roomOf(group), roster);
  if (next === undefined) return undefined;
  const extensions = group.context.extensions.map((extension) =>
    typeOf(extension) === EXTENSION.roomState
      ? { ...extension, extensionData: encodeRoomState(next) }
      : extension,
  );
  return eventOf(desk, tended, {
    proposalType: 'group_context_extensions',
    groupContextExtensions: { extensions },
  });
}

function wantedRoom(
  { config, crypto }: Desk,
  room: RoomState,
  { members, refusedPolicy }: Roster,
): RoomState | undefined {
  const name = config.roomPolicies?.[room.kind];
  if (name === undefined) return undefined;
  const { kind, defaultRole, roles } = templateNamed(name);
  const policy = encodePolicy(roles);
  const isSame = equal(encodePolicy(room.roles), policy);
  const isRefused = refusedPolicy !== undefined && equal(refusedPolicy, crypto.sha256(policy));
  if (isSame || isRefused || kind !== room.kind || defaultRole !== room.defaultRole)
    return undefined;
  const next = { ...room, roles };
  try {
    decodeRoomState(encodeRoomState(next));
    const place = { room, participants: participantsOf(members) };
    authorize(place, 'hub', { kind: 'room', next }, 'external');
    return next;
  } catch (error) {
    // Somebody holds a role that the template does not have, or the room lets the hub do no such thing.
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/** Whose queues are gone; what is noted of others is forgotten. */
async function deadLeaves(
  { keys }: Desk,
  tx: Executor,
  { row, roster }: Tended,
): Promise<ReadonlySet<number>> {
  if (!row.hasDead) return new Set();
  const noted = new Map(
    (await findDeadQueues(tx, row.id)).map((digest) => [toHex(digest), digest]),
  );
  const dead = new Set<number>();
  const named = new Set<string>();
  for (const { leafIndex, queue } of roster.members) {
    const name = toHex(queueDigest(keys, queue));
    if (!noted.has(name)) continue;
    dead.add(leafIndex);
    named.add(name);
  }
  const others = [...noted].filter(([name]) => !named.has(name)).map(([, digest]) => digest);
  await deleteDeadQueues(tx, row.id, others);
  return dead;
}

function eventOf(
  { crypto, hub }: Desk,
  { ear, row, acceptedAtMs }: Tended,
  proposal: Parameters<typeof makeHubProposal>[3],
): Uint8Array {
  const { epoch } = row;
  const place = { groupId: mlsGroupId(ear.groupId), epoch };
  return encodeGroupEvent({
    kind: 'proposal',
    groupId: ear.groupId,
    epoch,
    acceptedAtMs,
    mlsMessage: makeHubProposal(crypto, hub.key, place, proposal),
  });
}
