import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { encodeCommitAad } from '@roost/identity/leaf';
import { sealJoinerInfo } from '@roost/identity/joining';
import { splitWelcome } from '@roost/mls/message';
import { claimMissing } from './claims.ts';
import { accountOf, type Core, credentialsOf } from './core.ts';
import { noGroup } from './groups.ts';
import { readClaimed } from './key-packages.ts';
import type { Turn } from './ledger.ts';
import { isTransient, type Outcome } from './lanes.ts';
import type { ClientState, MadeCommit } from './mls.ts';
import { type Plan, planOf } from './plan.ts';
import { settled } from './settled.ts';
import { mergePending, receive } from './rooms.ts';
import { dropPending, markBehind } from './standing.ts';
import {
  type Group,
  groups,
  nextStates,
  type PendingCommit,
  pendingCommits,
  states,
} from './state.ts';
import { type ClaimedPackage, type Task, tasks } from './task.ts';
import { submit } from './submit.ts';
import { isUnsettled } from './tidy.ts';

/** Makes the commit of a task, or finishes the task where there is nothing left to do. */
export async function performCommit(
  core: Core,
  lane: string,
  key: string,
  task: Task & { kind: 'commit' },
): Promise<Outcome> {
  if (task.change.kind === 'add' && (await claimMissing(core, lane, key, task.change))) return 'on';
  await core.ledger.turn(async (turn) => {
    const [group, state] = [turn.get(groups, lane), turn.get(states, lane)];
    if (group === undefined || state === undefined) throw noGroup();
    if (task.change.kind === 'policy' && isUnsettled(state)) {
      // A policy comes alone.
      return commitProposals(core, turn, group);
    }
    const plan = planOf(core, group, state, task.change);
    if (plan === undefined) return core.lanes.finish(turn, key);
    await prepare(core, turn, { group, state, plan, task: key });
  });
  return 'on';
}

/** Puts out who must not read what waits to be said; says whether we may, and there is anybody. */
export async function commitTidying(core: Core, turn: Turn, group: Group): Promise<boolean> {
  const state = turn.get(states, printId(group.id));
  const plan = state && planOf(core, group, state, { kind: 'tidy' });
  if (state === undefined || plan === undefined) return false;
  await prepare(core, turn, { group, state, plan, task: undefined });
  return true;
}

/** Makes a commit of what others proposed, so that messages may be sent again. */
export async function commitProposals(core: Core, turn: Turn, group: Group): Promise<void> {
  const state = turn.get(states, printId(group.id));
  if (state === undefined) throw noGroup();
  const plan = { proposals: [], declared: [], added: [] };
  await prepare(core, turn, { group, state, plan, task: undefined });
}

/** Sends the commit that is pending and takes in how it ended. */
export async function settlePending(
  core: Core,
  lane: string,
  pending: PendingCommit,
): Promise<void> {
  const group = core.ledger.get(groups, lane);
  if (group === undefined) return;
  const result = await submit(core, group, pending).catch(async (error: unknown) => {
    const isRetried = await core.ledger.turn((turn) =>
      afterRefusal(core, turn, { lane, pending }, error),
    );
    if (isRetried) throw new Failure('EPOCH_TOO_OLD', 'the commit is made anew', {}, error);
    throw error;
  });
  await core.ledger.turn(async (turn) => {
    // The queue may have been faster than the answer.
    if (turn.get(pendingCommits, lane) === undefined) return;
    if (result === 'accepted') return mergePending(core, turn, lane);
    dropPending(turn, lane);
    for (const { event } of result.events) await receive(core, turn, event, 'log');
    const epoch = turn.get(states, lane)?.groupContext.epoch ?? 0n;
    if (epoch < result.currentEpoch) markBehind(core, turn, lane);
  });
}

interface Preparing {
  readonly group: Group;
  readonly state: ClientState;
  readonly plan: Plan;
  readonly task: string | undefined;
}

async function prepare(core: Core, turn: Turn, parts: Preparing): Promise<void> {
  const { group, plan, task } = parts;
  const lane = printId(group.id);
  const { state, proposals } = settled(core, group, parts.state, plan);
  const aad = encodeCommitAad({ added: [...plan.declared] });
  const made = await core.mls.commit(state, proposals, aad);
  const joiners = joinersOf(core, group, made, plan.added);
  const { commit, groupInfo, welcome } = made;
  turn.put(pendingCommits, lane, { commit, groupInfo, welcome, joiners, task });
  turn.put(nextStates, lane, made.next);
}

function joinersOf(
  core: Core,
  group: Group,
  { welcome, next }: MadeCommit,
  added: readonly ClaimedPackage[],
): PendingCommit['joiners'] {
  const { clientCredential, nameBinding } = credentialsOf(core);
  const { privateKey } = accountOf(core).signing;
  return added.map(({ keyPackage }) => {
    const { ref, initKey } = readClaimed(core, keyPackage);
    const welcomed = { keyPackageRef: ref, welcome: splitWelcome(welcome ?? NOTHING, ref) };
    const info = {
      groupId: group.id,
      epoch: next.groupContext.epoch,
      ...group.keys,
      clientCredential,
      nameBinding,
    };
    const sealed = sealJoinerInfo(core.crypto, { initKey, privateKey }, info, welcomed);
    return { keyPackageRef: ref, sealed };
  });
}

/**
 * A commit that is refused is dropped; what it lacks is in the log. Says whether it is made anew:
 * where it lacks a proposal, or the task has not been tried often.
 */
function afterRefusal(
  core: Core,
  turn: Turn,
  { lane, pending }: { readonly lane: string; readonly pending: PendingCommit },
  error: unknown,
): boolean {
  if (!(error instanceof Failure) || isTransient(error)) return false;
  dropPending(turn, lane);
  markBehind(core, turn, lane);
  if (!['INVALID_PROPOSAL', 'EPOCH_UNKNOWN'].includes(error.reason)) return false;
  const task = pending.task === undefined ? undefined : turn.get(tasks, pending.task);
  if (pending.task === undefined || task?.kind !== 'commit') return true;
  const tries = (task.tries ?? 0) + 1;
  turn.put(tasks, pending.task, { ...task, tries });
  return tries < TRIES_MAX;
}

const TRIES_MAX = 5;

const NOTHING = new Uint8Array(0);
