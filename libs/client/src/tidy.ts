import { toHex } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import { type Core, fraction } from './core.ts';
import type { Turn } from './ledger.ts';
import type { ClientState } from './mls.ts';
import { type Group, groups, type Member, states } from './state.ts';
import { isRefused } from './judge.ts';
import { tasks } from './task.ts';

/** Members that are online wait for up to so long, so that one of them is first. */
const DELAY_MS_MAX = 2_000;
const DELAY_MS_MIN = 200;

/** Commits what others proposed, after a moment in which somebody else may. */
export function tidySoon(core: Core, lane: string): void {
  const delayMs = DELAY_MS_MIN + fraction(core.crypto) * (DELAY_MS_MAX - DELAY_MS_MIN);
  void sleep(delayMs, core.lanes.signal)
    .then(async () => {
      if (core.lanes.signal.aborted) return;
      await core.ledger.turn((turn) => tidyNow(core, turn, lane));
    })
    .catch(core.report);
}

/** Puts the task to tidy up a group, where there is something to tidy that we may. */
export function tidyNow(core: Core, turn: Turn, lane: string): void {
  const [group, state] = [turn.get(groups, lane), turn.get(states, lane)];
  if (group === undefined || state === undefined || !needsTidying(group, state)) return;
  const isPlanned = turn.list(tasks, `${lane}/`).some(([, task]) => task.kind === 'commit');
  if (!isPlanned) core.lanes.submit(turn, lane, { kind: 'commit', change: { kind: 'tidy' } });
}

/** Looks after what a former process left untidy. */
export function tidyAll(core: Core): void {
  for (const [lane, group] of core.ledger.list(groups)) {
    const state = core.ledger.get(states, lane);
    if (group.standing === 'active' && state !== undefined && needsTidying(group, state)) {
      tidySoon(core, lane);
    }
  }
}

function needsTidying(group: Group, state: ClientState): boolean {
  // Who is to go cannot commit its own going, nor anything without it.
  const isGoing = proposedRemovals(state).includes(state.privatePath.leafIndex);
  if (group.isLeaving || isGoing) return false;
  return isUnsettled(state) || forgedLeaves(group).length > 0;
}

/** Whether something waits that we would commit. */
export function isUnsettled(state: ClientState): boolean {
  return Object.values(state.unappliedProposals).some((each) => !isRefused(state, each));
}

/**
 * Leaves that are not who they say, by their index, and those of members who left and are there again: a hub that was
 * restored has them still. Whom nobody can judge is not among them.
 */
export function forgedLeaves({
  members,
  former = [],
}: Pick<Group, 'members' | 'former'>): number[] {
  const left = new Set(former.map(({ signatureKey }) => toHex(signatureKey)));
  return members.flatMap(({ identity, unjudged, leafIndex, signatureKey }) => {
    const isForged = identity === undefined && unjudged === undefined;
    return isForged || left.has(toHex(signatureKey)) ? [leafIndex] : [];
  });
}

/** Whom nobody can judge: the keys of their homeserver are missing. */
export function unjudgedMembers({ members }: Pick<Group, 'members'>): Member[] {
  return members.filter(({ unjudged }) => unjudged !== undefined);
}

/** How many leaves there are that did not prove who they are: while there are any, nothing is said. */
export function countDoubted(group: Group): number {
  return forgedLeaves(group).length + unjudgedMembers(group).length;
}

/** The domains whose keys would tell who the members are whom nobody can judge. */
export function unjudgedDomains({ members }: Pick<Group, 'members'>): Domain[] {
  return [...new Set(members.flatMap(({ unjudged }) => unjudged ?? []))];
}

/** The lane in which the members of a group are judged again: what is for the group does not wait for that. */
export function recheckLane(chat: string): string {
  return `recheck/${chat}`;
}

/** Judges those who did not prove who they are again, and tells of them once. */
export function recheckSoon(core: Pick<Core, 'lanes'>, turn: Turn, chat: string): void {
  const lane = recheckLane(chat);
  const task = { kind: 'recheck' as const, chat };
  const [waiting] = turn.list(tasks, `${lane}/`);
  if (waiting === undefined) return void core.lanes.submit(turn, lane, task);
  turn.put(tasks, waiting[0], task);
  turn.after(() => core.lanes.hurryOn(lane));
}

/** The leaves that want to go, by their own proposals. */
export function leavingLeaves(state: ClientState): Set<number> {
  const leaving = new Set<number>();
  for (const { proposal, senderLeafIndex } of Object.values(state.unappliedProposals)) {
    if ('remove' in proposal && proposal.remove.removed === senderLeafIndex) {
      leaving.add(proposal.remove.removed);
    }
  }
  return leaving;
}

/** The leaves that the next commit takes out, whoever proposed it. */
export function proposedRemovals(state: ClientState): number[] {
  return Object.values(state.unappliedProposals).flatMap(({ proposal }) =>
    'remove' in proposal ? [proposal.remove.removed] : [],
  );
}
