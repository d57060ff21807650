import { Failure } from '@roost/core/failure';
import { printId, scopedWire } from '@roost/core/ids';
import type { LogEvent } from '@roost/proto/roost/delivery/v1/delivery';
import { type ParticipantId, roleOf } from '@roost/mls/room';
import { assertAllowed, participantOf } from './plan.ts';
import { type Core, ownClient } from './core.ts';
import { noGroup } from './groups.ts';
import type { Outcome } from './lanes.ts';
import { usersOf } from './members.ts';
import { receive, receiveEarly } from './rooms.ts';
import { markLost, markRolledBack } from './resync.ts';
import { end, markBehind } from './standing.ts';
import { leafSigner, qsClientSigner } from './signers.ts';
import { type Group, groups, states } from './state.ts';
import { type Task, tasks } from './task.ts';
import { unjudgedMembers } from './tidy.ts';
import { roomOf } from './titles.ts';

/** Reads what a group's log has since our epoch. Who is no longer a member finds the group gone. */
export async function catchUp(core: Core, lane: string): Promise<void> {
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const [group, state] = [core.ledger.get(groups, lane), core.ledger.get(states, lane)];
    if (group?.standing !== 'active' || state === undefined) return;
    const own = state.groupContext.epoch;
    const page = await logPage(core, group, group.suspectEpoch ?? own);
    if (page === 'gone') {
      await core.ledger.turn((turn) => end(core, turn, group, undefined));
      return;
    }
    if (page === 'too-old') {
      await core.ledger.turn((turn) => markLost(turn, group, undefined));
      return;
    }
    if (page.currentEpoch < own) {
      await core.ledger.turn((turn) => markRolledBack(turn, group));
      return;
    }
    await core.ledger.turn(async (turn) => {
      await takeLog(core, turn, lane, page.events);
      const now = turn.get(groups, lane);
      if (now !== undefined) turn.put(groups, lane, { ...now, suspectEpoch: undefined });
    });
    if (core.ledger.get(groups, lane)?.lost !== undefined) return;
    const epoch = core.ledger.get(states, lane)?.groupContext.epoch ?? page.currentEpoch;
    if (epoch >= page.currentEpoch) break;
    if (epoch === own) {
      // What the hub has leads us no further.
      await core.ledger.turn((turn) => markLost(turn, group, undefined));
      return;
    }
  }
  await core.ledger.turn((turn) => {
    const now = turn.get(groups, lane);
    if (now !== undefined) turn.put(groups, lane, { ...now, isBehind: false });
  });
}

const PAGES_MAX = 1_000;

async function takeLog(
  core: Core,
  turn: Parameters<typeof end>[1],
  lane: string,
  events: readonly LogEvent[],
): Promise<void> {
  for (const { event } of events) {
    await turn.attempt(() => receive(core, turn, event, 'log')).catch(core.report);
  }
  await receiveEarly(core, turn, lane);
}

async function logPage(core: Core, group: Group, fromEpoch: bigint) {
  const { caller } = core;
  const request = { groupId: scopedWire(group.id), earKey: group.keys.earKey, fromEpoch };
  const price = { token: 'general' as const, sign: leafSigner(group.leaf) };
  try {
    return await caller.ask(price, (options) => caller.services.delivery.getLog(request, options));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.reason === 'GROUP_UNKNOWN') return 'gone';
    if (error.reason === 'EPOCH_TOO_OLD') return 'too-old';
    throw error;
  }
}

/**
 * Leaves a group: the last owner hands it over first, the last member deletes it. Done when the hub
 * has the wish; another member commits it.
 */
export async function performLeave(
  core: Core,
  lane: string,
  key: string,
  task: Task & { kind: 'leave' },
): Promise<Outcome> {
  const [group, state] = [core.ledger.get(groups, lane), core.ledger.get(states, lane)];
  if (group === undefined || state === undefined) throw noGroup();
  if (isAlone(group)) {
    await core.ledger.turn((turn) => {
      turn.put(tasks, key, { kind: 'delete' });
      if (group.movedTo === undefined) {
        core.news.put(turn, { kind: 'gone', chat: lane, title: group.title });
      }
    });
    return 'on';
  }
  if (task.proposal === undefined) {
    const room = roomOf(state);
    const own = participantOf(core, group, ownClient(core).user);
    const isOwner = group.kind !== 'group_dm' && roleOf(room, own) === 'owner';
    const others = heirsIn(group).filter((participant) => participant !== own);
    const heir = others.find((each) => roleOf(room, each) === 'owner') ?? others[0];
    await core.ledger.turn(async (turn) => {
      if (isOwner && heir !== undefined && roleOf(room, heir) !== 'owner') {
        // The same task is the commit first, and comes back to leaving after it.
        core.lanes.finish(turn, key);
        const change = { kind: 'hand-over' as const, participant: heir };
        core.lanes.submit(turn, lane, { kind: 'commit', change });
        core.lanes.submit(turn, lane, { kind: 'leave' });
        return;
      }
      assertAllowed(core, group, state, { kind: 'leave' });
      const now = turn.get(states, lane) ?? state;
      const { next, proposal } = await core.mls.proposeRemove(now, now.privatePath.leafIndex);
      // The commit that carries it may be here before the answer.
      turn.put(states, lane, next);
      turn.put(tasks, key, { ...task, proposal });
    });
    return 'on';
  }
  return propose(core, key, group, task.proposal);
}

/** Who may own a group after us: those who are known first, and then those whom nobody can judge. */
function heirsIn(group: Group): ParticipantId[] {
  const all = [...usersOf(group).values(), ...unjudgedMembers(group)];
  return all.map(({ participant }) => participant);
}

/** Whether nobody else is in a group: whom nobody can judge may well be somebody. */
function isAlone(group: Group): boolean {
  return usersOf(group).size < 2 && unjudgedMembers(group).length === 0;
}

async function propose(
  core: Core,
  key: string,
  group: Group,
  proposal: Uint8Array,
): Promise<Outcome> {
  const { caller, ledger } = core;
  const lane = printId(group.id);
  const request = {
    groupId: scopedWire(group.id),
    earKey: group.keys.earKey,
    proposal: { tls: proposal },
  };
  const price = { token: 'general' as const, sign: leafSigner(group.leaf) };
  const { result } = await caller.ask(price, (options) =>
    caller.services.delivery.propose(request, options),
  );
  await ledger.turn((turn) => {
    const now = turn.get(groups, lane);
    if (now === undefined) return core.lanes.finish(turn, key);
    if (result?.$case !== 'accepted') {
      turn.put(tasks, key, { kind: 'leave' });
      markBehind(core, turn, lane);
      return;
    }
    turn.put(groups, lane, { ...now, isLeaving: true });
    if (now.movedTo === undefined) {
      core.news.put(turn, { kind: 'gone', chat: lane, title: now.title });
    }
    core.lanes.finish(turn, key);
  });
  return 'on';
}

/** Gives a handle back, or silences it where messages may still come. */
export async function performRelease(
  core: Core,
  key: string,
  { handle, isSilenced }: Task & { kind: 'release' },
): Promise<Outcome> {
  const { caller } = core;
  const price = { token: 'general' as const, sign: qsClientSigner(core) };
  const { queue } = caller.services;
  const handles = [handle];
  await caller.ask(price, async (options) => {
    if (isSilenced) await queue.silenceHandles({ handles, silenced: true }, options);
    else await queue.releaseHandles({ handles }, options);
  });
  await core.ledger.turn((turn) => core.lanes.finish(turn, key));
  return 'on';
}

/** Deletes a group that only we are in; one with another is deleted here alone. */
export async function performDelete(core: Core, lane: string, key: string): Promise<Outcome> {
  const { caller, ledger } = core;
  const group = ledger.get(groups, lane);
  if (group?.standing === 'active' && isAlone(group)) {
    const request = { groupId: scopedWire(group.id), earKey: group.keys.earKey };
    const sign = leafSigner(group.leaf);
    await caller
      .ask({ token: 'general', sign }, (options) =>
        caller.services.delivery.deleteGroup(request, options),
      )
      .catch((error: unknown) => {
        // It is gone already: an answer was lost.
        if (!(error instanceof Failure) || error.reason !== 'GROUP_UNKNOWN') throw error;
      });
  }
  await ledger.turn((turn) => {
    core.lanes.finish(turn, key);
    const now = turn.get(groups, lane);
    if (now !== undefined) end(core, turn, { ...now, isLeaving: true }, undefined);
  });
  return 'on';
}
