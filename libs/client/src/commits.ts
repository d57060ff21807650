import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { encodeCommitAad, participantIdOf } from '@roost/identity/leaf';
import { sealJoinerInfo } from '@roost/identity/joining';
import { splitWelcome } from '@roost/mls/message';
import { authorize, type Change as RoomChange } from '@roost/mls/authorize';
import { parseParticipantId, roleOf, type RoomState, withRole } from '@roost/mls/room';
import { claimMissing } from './claims.ts';
import { accountOf, type Core, credentialsOf, ownClient } from './core.ts';
import { noGroup } from './groups.ts';
import { readClaimed } from './key-packages.ts';
import type { Turn } from './ledger.ts';
import { isTransient, type Outcome } from './lanes.ts';
import { declare, type DeclaredLeaf } from './links.ts';
import { usersOf } from './members.ts';
import type { ClientState, MadeCommit, Proposal } from './mls.ts';
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
import { type Change, type ClaimedPackage, type Task, tasks } from './task.ts';
import { forgedLeaves, leavingLeaves } from './tidy.ts';
import { roomProposals } from './room-after.ts';
import { submit } from './submit.ts';
import { roomOf, sealTitle } from './titles.ts';

/** What a commit brings about, as MLS and the hub want it. */
interface Plan {
  readonly proposals: Proposal[];
  readonly declared: readonly DeclaredLeaf[];
  readonly added: readonly ClaimedPackage[];
  /** The room state that it leads to, where it says one. */
  readonly room?: RoomState;
}

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
    const plan = planOf(core, group, state, task.change);
    if (plan === undefined) return core.lanes.finish(turn, key);
    await prepare(core, turn, { group, state, plan, task: key });
  });
  return 'on';
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
    for (const { event } of result.events) await receive(core, turn, event);
    const epoch = turn.get(states, lane)?.groupContext.epoch ?? 0n;
    if (epoch < result.currentEpoch) markBehind(core, turn, lane);
  });
}

/** Refuses what the policy of the room is against, with its sentence, before anything is sent. */
export function assertAllowed(
  core: Pick<Core, 'ledger' | 'crypto'>,
  group: Group,
  state: ClientState,
  change: RoomChange,
): void {
  const participants = [...new Set(group.members.map(({ participant }) => participant))];
  const form = change.kind === 'leave' ? 'by-reference' : 'inline';
  const own = participantOf(core, group, ownClient(core).user);
  authorize({ room: roomOf(state), participants }, own, change, form);
}

export function participantOf(
  { crypto }: Pick<Core, 'crypto'>,
  { keys }: Pick<Group, 'keys'>,
  user: Parameters<typeof participantIdOf>[2],
): string {
  return parseParticipantId(participantIdOf(crypto, keys.participantKey, user));
}

interface Preparing {
  readonly group: Group;
  readonly state: ClientState;
  readonly plan: Plan;
  readonly task: string | undefined;
}

async function prepare(core: Core, turn: Turn, parts: Preparing): Promise<void> {
  const { group, state, plan, task } = parts;
  const lane = printId(group.id);
  const aad = encodeCommitAad({ added: [...plan.declared] });
  const proposals = [...plan.proposals, ...roomProposals(group, state, plan)];
  const made = await core.mls.commit(state, proposals, aad);
  const joiners = joinersOf(core, group, made, plan.added);
  const { commit, groupInfo, welcome } = made;
  turn.put(pendingCommits, lane, { commit, groupInfo, welcome, joiners, task });
  turn.put(nextStates, lane, made.next);
}

/** `undefined` where what is wanted is so already. */
function planOf(core: Core, group: Group, state: ClientState, change: Change): Plan | undefined {
  const leaving = leavingLeaves(state);
  const remove = (leaves: readonly number[]): Proposal[] =>
    leaves
      .filter((leafIndex) => !leaving.has(leafIndex))
      .map((removed) => ({ proposalType: 'remove', remove: { removed } }));
  const room = roomOf(state);
  switch (change.kind) {
    case 'add':
      return planAdd(core, group, state, change);
    case 'remove': {
      const leaves = leavesOfUser(group, change.user);
      if (leaves.length === 0) return undefined;
      const participants = [participantOf(core, group, change.user)];
      assertAllowed(core, group, state, { kind: 'remove', participants });
      return plain(remove(leaves));
    }
    case 'title': {
      if (group.title === change.title) return undefined;
      const sealedTitle = sealTitle(core.crypto, group.keys, group.id, change.title);
      const next = { ...room, sealedTitle };
      assertAllowed(core, group, state, { kind: 'room', next });
      return { ...plain([]), room: next };
    }
    case 'owner': {
      const participant = participantOf(core, group, change.user);
      if (roleOf(room, participant) === 'owner') return undefined;
      const next = withRole(room, participant, 'owner');
      assertAllowed(core, group, state, { kind: 'room', next });
      return { ...plain([]), room: next };
    }
    case 'tidy': {
      const own = participantOf(core, group, ownClient(core).user);
      const isOwner = roleOf(room, own) === 'owner';
      const forged = isOwner && group.kind === 'group' ? remove(forgedLeaves(group)) : [];
      const hasProposals = Object.keys(state.unappliedProposals).length > 0;
      return forged.length === 0 && !hasProposals ? undefined : plain(forged);
    }
  }
}

function plain(proposals: Proposal[]): Plan {
  return { proposals, declared: [], added: [] };
}

function planAdd(
  core: Core,
  group: Group,
  state: ClientState,
  { invited }: Change & { kind: 'add' },
): Plan | undefined {
  const present = usersOf(group);
  const missing = invited.filter(({ user }) => !present.has(printId(user)));
  if (missing.length === 0) return undefined;
  const participants = missing.map(({ user }) => participantOf(core, group, user));
  assertAllowed(core, group, state, { kind: 'add', participants });
  const proposals: Proposal[] = [];
  const declared: DeclaredLeaf[] = [];
  const added: ClaimedPackage[] = [];
  for (const { user, packages = [] } of missing) {
    for (const each of packages) {
      const { keyPackage, signatureKey } = readClaimed(core, each.keyPackage);
      proposals.push({ proposalType: 'add', add: { keyPackage } });
      const leaf = { leafKey: signatureKey, linkKey: each.linkKey, user };
      declared.push(declare(core, group.keys, leaf));
      added.push(each);
    }
  }
  return { proposals, declared, added };
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

function leavesOfUser(group: Group, user: { readonly uuid: string; readonly domain: string }) {
  return group.members.flatMap(({ leafIndex, identity }) =>
    identity?.user.uuid === user.uuid && identity.user.domain === user.domain ? [leafIndex] : [],
  );
}

const NOTHING = new Uint8Array(0);
