import { compare, equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { decodeGroupEvent, type GroupEvent } from '@roost/bus/group-event';
import { type CommitMessage, type HandshakeMessage, parseHandshake } from '@roost/mls/message';
import type { Core } from './core.ts';
import { receiveMessage } from './inbox-messages.ts';
import { isRefused, judgeCommit } from './judge.ts';
import type { Turn } from './ledger.ts';
import { advance } from './members.ts';
import type { ClientState } from './mls.ts';
import { markAtOdds } from './odds.ts';
import { isOther, suspect, withCommit } from './restored.ts';
import { badCommitOf, markLost, markRolledBack } from './resync.ts';
import { dropPending, end, markBehind } from './standing.ts';
import {
  earlyEvents,
  type Group,
  groups,
  joinings,
  nextStates,
  pendingCommits,
  states,
} from './state.ts';
import { joinsIn, numbered, tasks, type WelcomeRecord } from './task.ts';
import { tidySoon } from './tidy.ts';

/** How many events of a group may wait for what they build on; the log has the rest. */
const EARLY_EVENTS_MAX = 2_000;

/**
 * Takes in what a hub tells of a group: by the queue, by the log, or in the answer to a commit that
 * lost. The same event may come by each of them.
 */
export async function receive(
  core: Core,
  turn: Turn,
  encoded: Uint8Array,
  source: 'queue' | 'log' = 'queue',
): Promise<void> {
  const event = decodeGroupEvent(encoded);
  const lane = printId(event.groupId);
  const group = turn.get(groups, lane);
  turn.after(() => core.lanes.hurryFor(event.groupId.domain));
  if (event.kind === 'welcome') return receiveWelcome(core, turn, event);
  const epoch = turn.get(states, lane)?.groupContext.epoch;
  if (group === undefined || epoch === undefined) {
    const isEntering = turn.get(joinings, lane) !== undefined || group?.standing === 'creating';
    if (isEntering) keepEarly(turn, lane, encoded);
    return;
  }
  if (event.kind === 'group-deleted') return end(core, turn, group, undefined);
  if (group.atOdds !== undefined) return;
  if (group.lost !== undefined) {
    if (event.epoch > epoch) keepEarly(turn, lane, encoded);
    return;
  }
  if (event.epoch > epoch) return waitFor(core, turn, group, encoded);
  if (event.kind === 'commit' && isOther(core, group, event.epoch, event.mlsMessage)) {
    // A queue may hold what the hub itself has forgotten.
    if (source === 'queue') return suspect(core, turn, lane, event.epoch);
    return markRolledBack(turn, group);
  }
  switch (event.kind) {
    case 'application':
      return receiveMessage(core, turn, group, event);
    case 'proposal':
      if (event.epoch === epoch) await receiveProposal(core, turn, group, event.mlsMessage);
      return;
    case 'commit':
      if (event.epoch === epoch) await receiveCommit(core, turn, group, event.mlsMessage);
  }
}

/** Takes in what waited, as far as it fits now. */
export async function receiveEarly(core: Core, turn: Turn, lane: string): Promise<void> {
  const waiting = turn.list(earlyEvents, `${lane}/`);
  for (const [key] of waiting) turn.delete(earlyEvents, key);
  for (const [, { event }] of waiting) await receive(core, turn, event);
}

/** Our own commit was accepted: it becomes the state of the group. */
export async function mergePending(core: Core, turn: Turn, lane: string): Promise<void> {
  const [group, pending] = [turn.get(groups, lane), turn.get(pendingCommits, lane)];
  const [before, next] = [turn.get(states, lane), turn.get(nextStates, lane)];
  if (group === undefined || pending === undefined || next === undefined) return;
  dropPending(turn, lane);
  if (pending.task !== undefined && turn.get(tasks, pending.task) !== undefined) {
    core.lanes.finish(turn, pending.task);
  }
  turn.put(states, lane, next);
  const commit = parseHandshake(pending.commit);
  const commits = withCommit(core, group, next.groupContext.epoch - 1n, pending.commit);
  if (pending.isResync === true) {
    const found: Group = { ...group, commits, isBehind: false, lost: undefined };
    await advance(core, turn, found, { before: undefined, after: next, commit });
    core.news.put(turn, { kind: 'returned', chat: lane });
    // Who was put out since the backup may be in again.
    turn.after(() => tidySoon(core, lane));
  } else {
    await advance(core, turn, { ...group, commits }, { before, after: next, commit });
  }
  await receiveEarly(core, turn, lane);
}

async function receiveCommit(core: Core, turn: Turn, group: Group, tls: Uint8Array): Promise<void> {
  const lane = printId(group.id);
  const pending = turn.get(pendingCommits, lane);
  if (pending !== undefined && equal(pending.commit, tls)) return mergePending(core, turn, lane);
  const before = turn.get(states, lane);
  if (before === undefined) return;
  const commit = parseHandshake(tls);
  const after = await core.mls.apply(before, commit).catch((error: unknown) => {
    core.report(error);
    // A proposal that it carries may be missing here; the log has it.
    if (group.isBehind) markLost(turn, group, badCommitOf(before.groupContext.epoch, error));
    else markBehind(core, turn, lane);
  });
  if (after === undefined) return;
  const sentence = commit.kind === 'commit' ? refusalOf(group, before, commit) : undefined;
  if (sentence !== undefined) {
    const epoch = before.groupContext.epoch + 1n;
    return markAtOdds(core, turn, group, { epoch, sentence });
  }
  // Ours for the same epoch has lost.
  dropPending(turn, lane);
  turn.put(states, lane, after);
  const commits = withCommit(core, group, before.groupContext.epoch, tls);
  await advance(core, turn, { ...group, commits }, { before, after, commit });
  await receiveEarly(core, turn, lane);
  turn.after(() => core.lanes.wake(lane));
}

/** Why the policy of the room is against a commit, if it is. */
function refusalOf(group: Group, before: ClientState, commit: CommitMessage): string | undefined {
  try {
    judgeCommit(group, before, commit);
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
}

async function receiveProposal(
  core: Core,
  turn: Turn,
  group: Group,
  tls: Uint8Array,
): Promise<void> {
  const lane = printId(group.id);
  const state = turn.get(states, lane);
  if (state === undefined) return;
  const message: HandshakeMessage = parseHandshake(tls);
  // A commit of ours without it would be refused.
  const next = await core.mls.apply(state, message);
  const isNew =
    Object.keys(next.unappliedProposals).length > Object.keys(state.unappliedProposals).length;
  if (!isNew) return;
  turn.put(states, lane, next);
  const isTaken = Object.entries(next.unappliedProposals).every(
    ([key, each]) => key in state.unappliedProposals || !isRefused(state, each),
  );
  if (!isTaken) core.news.put(turn, { kind: 'policy-refused', chat: lane });
  turn.after(() => tidySoon(core, lane));
}

/** An event of a later epoch: our own commit is on its way, or something was lost. */
function waitFor(core: Core, turn: Turn, group: Group, encoded: Uint8Array): void {
  const lane = printId(group.id);
  keepEarly(turn, lane, encoded);
  if (turn.get(pendingCommits, lane) !== undefined || group.isBehind) return;
  markBehind(core, turn, lane);
}

function keepEarly(turn: Turn, lane: string, event: Uint8Array): void {
  const waiting = turn.list(earlyEvents, `${lane}/`);
  if (waiting.length >= EARLY_EVENTS_MAX) return;
  if (waiting.some(([, early]) => compare(early.event, event) === 0)) return;
  turn.put(earlyEvents, `${lane}/${numbered(turn, 'early')}`, { event });
}

function receiveWelcome(core: Core, turn: Turn, event: GroupEvent & { kind: 'welcome' }): void {
  const lane = printId(event.groupId);
  const group = turn.get(groups, lane);
  // A second Welcome into a group that we are in is a repetition.
  if (group !== undefined && group.standing !== 'gone') return;
  const joins = joinsIn(turn, lane);
  // We are on our way in by ourselves.
  if (joins.length === 0 && turn.get(joinings, lane) !== undefined) return;
  // Another one than that which we follow: we were put out again meanwhile, and added anew.
  const { epoch, joiner } = event;
  const { keyPackageRef } = joiner;
  const isIt = ({ welcome }: { readonly welcome: WelcomeRecord }): boolean =>
    welcome.epoch === epoch && equal(welcome.keyPackageRef, keyPackageRef);
  if (joins.some(([, task]) => isIt(task))) return;
  turn.put(joinings, lane, { sinceMs: core.clock.now() });
  core.lanes.submit(turn, lane, {
    kind: 'join',
    welcome: {
      welcome: event.mlsMessage,
      epoch,
      keyPackageRef,
      joinerInfo: joiner.joinerInfo,
    },
  });
}
