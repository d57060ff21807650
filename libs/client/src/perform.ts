import { Failure } from '@roost/core/failure';
import { printId, scopedWire } from '@roost/core/ids';
import { performAccept } from './accept.ts';
import { commitProposals, commitTidying, performCommit, settlePending } from './commits.ts';
import { performConnect } from './connect.ts';
import type { Core } from './core.ts';
import { performReject } from './direct.ts';
import { performOpen } from './direct-later.ts';
import { performBefriend } from './friends.ts';
import { noGroup, performCreate } from './groups.ts';
import { performJoin } from './joins.ts';
import type { Outcome, Refusal } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { performDisband } from './disband.ts';
import { catchUp, performDelete, performLeave, performRelease } from './leave.ts';
import { usersOf } from './members.ts';
import { performAtOdds } from './odds.ts';
import { performHandles } from './perform-handles.ts';
import { performSetting, performTokens } from './perform-settings.ts';
import { performPush } from './push.ts';
import { performRecheck } from './recheck.ts';
import { performEnter, performPublish } from './public.ts';
import { performResync } from './resync.ts';
import { dropPending, end, markBehind } from './standing.ts';
import { leafSigner } from './signers.ts';
import { contacts, type Group, groups, joinings, pendingCommits, states } from './state.ts';
import { type Task, tasks } from './task.ts';
import { countDoubted, recheckLane } from './tidy.ts';

/** Makes one try at the first task of a lane, after what comes before any task. */
export async function perform(core: Core, lane: string, key: string, task: Task): Promise<Outcome> {
  const pending = core.ledger.get(pendingCommits, lane);
  if (pending !== undefined) {
    await settlePending(core, lane, pending);
    return 'on';
  }
  const group = core.ledger.get(groups, lane);
  if (group?.atOdds !== undefined) return performAtOdds(core, group, key, task);
  if (group?.lost !== undefined) {
    await performResync(core, lane);
    return 'on';
  }
  if (group?.isBehind === true) {
    await catchUp(core, lane);
    return 'on';
  }
  switch (task.kind) {
    case 'connect':
      return performConnect(core, lane, key, task);
    case 'accept':
      return performAccept(core, lane, key, task);
    case 'reject':
      return performReject(core, key, task);
    case 'open':
      return performOpen(core, key, task);
    case 'befriend':
      return performBefriend(core, lane, key, task);
    case 'create':
      return performCreate(core, lane, key);
    case 'commit':
      return performCommit(core, lane, key, task);
    case 'leave':
      return performLeave(core, lane, key, task);
    case 'join':
      return performJoin(core, lane, key, task);
    case 'send':
      return performSend(core, lane, key, task);
    case 'delete':
      return performDelete(core, lane, key);
    case 'disband':
      return performDisband(core, lane, key);
    case 'enter':
      return performEnter(core, lane, key);
    case 'publish':
      return performPublish(core, lane, key);
    case 'release':
      return performRelease(core, key, task);
    case 'recheck':
      return performRecheck(core, key, task);
    case 'notify':
    case 'silence':
      return performSetting(core, key, task);
    case 'tokens':
      return performTokens(core, key);
    case 'handles':
      return performHandles(core, key);
    case 'push':
      return performPush(core, key);
    case 'catch-up':
      await core.ledger.turn((turn) => core.lanes.finish(turn, key));
      return 'on';
  }
}

type Send = Task & { kind: 'send' };

/** Sends a message. It is encrypted and written down first; a repetition sends the same bytes. */
async function performSend(core: Core, lane: string, key: string, task: Send): Promise<Outcome> {
  const { ledger, caller } = core;
  const group = ledger.get(groups, lane);
  if (group === undefined || group.standing === 'gone' || group.isLeaving) throw noGroup();
  if (isWaiting(group)) {
    if (group.standing !== 'active' || countDoubted(group) === 0) return 'blocked';
    // What would put somebody out waits behind us.
    const isTidied = await ledger.turn(async (turn) => await commitTidying(core, turn, group));
    return isTidied ? 'on' : letPass(core, lane, key);
  }
  if (task.sealed === undefined) {
    await ledger.turn((turn) => seal(core, turn, group, { key, task }));
    return 'on';
  }
  const request = {
    groupId: scopedWire(group.id),
    earKey: group.keys.earKey,
    message: { tls: task.sealed },
  };
  const price = { token: 'general' as const, sign: leafSigner(group.leaf) };
  try {
    await caller.ask(price, (options) => caller.services.delivery.sendMessage(request, options));
    await ledger.turn((turn) => core.lanes.finish(turn, key));
  } catch (error) {
    if (!(error instanceof Failure) || !STALE.has(error.reason)) throw error;
    await ledger.turn((turn) => {
      const { sealed: _, ...unsealed } = task;
      turn.put(tasks, key, unsealed);
      markBehind(core, turn, lane);
    });
    // What is behind for a moment stays behind for another: no hurry.
    if (error.reason === 'EPOCH_TOO_OLD') throw error;
  }
  return 'on';
}

/**
 * Refusals of a message after which it is encrypted anew; whoever is no member finds that out, and that the hub was
 * restored.
 */
const STALE: ReadonlySet<string> = new Set(['EPOCH_TOO_OLD', 'EPOCH_UNKNOWN', 'GROUP_UNKNOWN']);

/** Whether there is nobody to read a message yet, or somebody who must not, or of whom nobody can tell. */
function isWaiting(group: Group): boolean {
  const isAlone = group.kind === 'dm' && usersOf(group).size < 2;
  return group.standing === 'creating' || isAlone || countDoubted(group) > 0;
}

/** A message that waits for somebody to be judged, or to go, keeps nothing else waiting: we may want to leave. */
async function letPass(core: Core, lane: string, key: string): Promise<Outcome> {
  core.lanes.hurryOn(recheckLane(lane));
  return core.ledger.turn((turn) => {
    const isAllSaid = turn.list(tasks, `${lane}/`).every(([, { kind }]) => kind === 'send');
    if (isAllSaid) return 'blocked';
    core.lanes.move(turn, key, lane);
    return 'on';
  });
}

async function seal(
  core: Core,
  turn: Turn,
  group: Group,
  { key, task }: { readonly key: string; readonly task: Send },
): Promise<void> {
  const lane = printId(group.id);
  const state = turn.get(states, lane);
  if (state === undefined) throw noGroup();
  // RFC 9420 §12.4: nothing is sent while a proposal waits.
  if (Object.keys(state.unappliedProposals).length > 0) return commitProposals(core, turn, group);
  const { next, message } = await core.mls.encrypt(state, task.content);
  turn.put(states, lane, next);
  turn.put(tasks, key, { ...task, sealed: message });
}

/** A task was refused for good: it goes, with what stood on it, and somebody hears why. */
export async function refused(core: Core, refusal: Refusal): Promise<void> {
  const { lane, key, task, error, isAwaited } = refusal;
  await core.ledger.turn((turn) => {
    turn.delete(tasks, key);
    const group = turn.get(groups, lane);
    if (task.kind === 'connect' || task.kind === 'accept') {
      undoConnection(core, turn, lane, task);
    }
    if (task.kind === 'commit') dropPending(turn, lane);
    if (task.kind === 'leave') withdraw(turn, lane);
    if (isFounding(group, task)) core.lanes.submit(turn, lane, { kind: 'delete' });
    const isUnmade = task.kind === 'create' || task.kind === 'enter';
    if (isUnmade && group !== undefined) {
      end(core, turn, { ...group, isLeaving: true }, undefined);
    }
    // Who sends a line does not wait for it; who asks for anything else hears of it.
    if (QUIET.has(task.kind) || (isAwaited && task.kind !== 'send')) return;
    core.news.put(turn, {
      kind: 'failed',
      chat: lane,
      sentence: error.message,
      ...(task.kind === 'send' && task.text !== undefined ? { text: task.text } : {}),
    });
  });
}

/** A group conversation that cannot be founded with all whom it is for is none. */
function isFounding(group: Group | undefined, task: Task): boolean {
  const isAdding = task.kind === 'commit' && task.change.kind === 'add';
  return isAdding && group?.kind === 'group_dm' && usersOf(group).size < 2;
}

/** Tasks that nobody asked for by name. */
const QUIET: ReadonlySet<Task['kind']> = new Set([
  'release',
  'delete',
  'disband',
  'catch-up',
  'recheck',
  'befriend',
  'open',
  'notify',
  'silence',
  'tokens',
  'handles',
  'push',
]);

/** We stay after all: our own wish to leave is forgotten. */
function withdraw(turn: Turn, lane: string): void {
  const state = turn.get(states, lane);
  if (state === undefined) return;
  const others = Object.entries(state.unappliedProposals).filter(
    ([, { senderLeafIndex }]) => senderLeafIndex !== state.privatePath.leafIndex,
  );
  turn.put(states, lane, { ...state, unappliedProposals: Object.fromEntries(others) });
}

function undoConnection(
  core: Core,
  turn: Turn,
  lane: string,
  task: Task & { kind: 'connect' | 'accept' },
): void {
  const group = turn.get(groups, lane);
  const user = task.kind === 'accept' ? task.user : task.asked?.user;
  dropPending(turn, lane);
  turn.delete(joinings, lane);
  if (user !== undefined) {
    const contact = turn.get(contacts, printId(user));
    const isThis = contact !== undefined && printId(contact.group) === lane;
    if (isThis && contact.standing !== 'connected') turn.delete(contacts, printId(user));
  }
  if (group !== undefined) end(core, turn, { ...group, isLeaving: true }, undefined);
}
