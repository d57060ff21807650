import { printId } from '@roost/core/ids';
import { entryOf } from '@roost/mls/room';
import { encodeContent, MESSAGE_ID_BYTES } from './content.ts';
import { type Core, ownClient } from './core.ts';
import { moveUnsent } from './crossing.ts';
import type { Ledger, Turn } from './ledger.ts';
import { usersOf } from './members.ts';
import type { ClientState } from './mls.ts';
import { type Founding, type Group, groups, pendingCommits, states } from './state.ts';
import { tasks } from './task.ts';
import { roomOf } from './titles.ts';

/**
 * A group conversation is the only one of those who founded it, as long as none of them left it
 * (requirements, CHAT-4). The hub cannot know who is in it, so the clients see to it: of two, the one
 * with the smaller id of founder and group survives at all of them.
 */
export function foundedBy(core: Pick<Core, 'ledger'>, others: readonly string[]): Founding {
  const founder = printId(ownClient(core).user);
  return { founder, users: [...new Set([founder, ...others])].toSorted() };
}

/** Who founded a conversation that we are just added to; `undefined` where it is not just founded. */
export function foundingOf(state: ClientState, members: Group['members']): Founding | undefined {
  const room = roomOf(state);
  const users = usersOf({ members });
  const [founder, ...others] = [...users].filter(
    ([, { participant }]) => entryOf(room, participant) === 'owner',
  );
  const hasLost = room.entries.some(({ role }) => role === 'departed');
  if (founder === undefined || others.length > 0 || hasLost) return undefined;
  return { founder: founder[0], users: [...users.keys()].toSorted() };
}

/** The conversation of the same people that we are in. */
export function sameConversation(
  on: Ledger | Turn,
  { users }: Founding,
  except?: string,
): Group | undefined {
  const all = on.list(groups).filter(([lane, group]) => {
    const { founding, standing, movedTo, isLeaving } = group;
    if (lane === except || standing === 'gone' || movedTo !== undefined || isLeaving) return false;
    const isOne = group.isGoingOn === true || isWhole(on, lane);
    return founding?.users.join() === users.join() && isOne;
  });
  return all[0]?.[1];
}

function isWhole(on: Ledger | Turn, lane: string): boolean {
  const state = on.get(states, lane);
  return state === undefined || roomOf(state).entries.every(({ role }) => role !== 'departed');
}

/** Whether the first one survives. */
export function survives(one: Pick<Group, 'id' | 'founding'>, other: typeof one): boolean {
  const rank = ({ id, founding }: typeof one): string => `${founding?.founder} ${printId(id)}`;
  return rank(one) < rank(other);
}

/** A conversation of the same people goes on elsewhere: we leave it, and its founder deletes it. */
export function goOnIn(core: Core, turn: Turn, group: Group, survivor: Group): void {
  const [from, to] = [printId(group.id), printId(survivor.id)];
  moveUnsent(core, turn, from, to);
  const isSent = turn.get(pendingCommits, from) !== undefined;
  for (const [key, task] of turn.list(tasks, `${from}/`)) {
    if (task.kind === 'commit' && !isSent) core.lanes.finish(turn, key);
  }
  turn.put(groups, from, { ...group, movedTo: survivor.id });
  const messageId = core.crypto.random(MESSAGE_ID_BYTES);
  const content = encodeContent({ kind: 'farewell', messageId });
  core.lanes.submit(turn, from, { kind: 'send', content });
  const isFounder = group.founding?.founder === printId(ownClient(core).user);
  core.lanes.submit(turn, from, { kind: isFounder ? 'disband' : 'leave' });
}

/**
 * Somebody goes on in another conversation of the same people. Who leaves this one now has not left
 * them: the other one, when we are added to it, takes its place all the same.
 */
export function goingOn(turn: Turn, group: Group): void {
  const lane = printId(group.id);
  const now = turn.get(groups, lane);
  if (now !== undefined) turn.put(groups, lane, { ...now, isGoingOn: true });
}
