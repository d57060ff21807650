import { expect, test } from '@jest/globals';
import { foundingRoom, templateOf } from '@roost/mls/templates';
import type { RoomKind } from '@roost/mls/roles';
import { REMOVALS_MAX, dueRemovals, isAnybodyAway, withLeavers } from './due.ts';
import { restOf, rosterOf } from './roster.ts';
import type { Member } from './roster.ts';
import { parseDomain } from '@roost/core/ids';

const NOW = 600;
const who = (n: number): string => n.toString(16).padStart(32, '0');
const filled = (size: number, n: number): Uint8Array => new Uint8Array(size).fill(n);

function member(leafIndex: number, change: Partial<Member> = {}): Member {
  const queue = {
    domain: parseDomain('hub.example'),
    handle: filled(32, 1),
    pushKey: filled(32, 1),
  };
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, leafIndex);
  return {
    ...{ leafIndex, signatureKey: key, participant: who(leafIndex), role: 'ordinary' as const },
    ...{ wrappedLinkKey: filled(60, 1), queue, joinedEpoch: 0n, hasCommitted: true },
    ...{ isLeaving: false, activeMonth: NOW, resyncs: { day: 0, count: 0 } },
    ...change,
  };
}

function watch(
  members: readonly Member[],
  change: { dead?: readonly number[]; kind?: RoomKind } = {},
) {
  const room = foundingRoom(templateOf(change.kind ?? 'group'), who(0), filled(0, 0));
  const roster = rosterOf(members, restOf(room, undefined));
  const byLeaf = new Map(members.map(({ leafIndex, participant }) => [leafIndex, participant]));
  const waiting = { room, members: byLeaf, pending: [] };
  return { roster, waiting, dead: new Set(change.dead), actor: 0, inactiveBefore: NOW - 6 };
}

test('who is dead, away or leaving is due; who asks, and who is there, is not', () => {
  const members = [
    member(0, { activeMonth: 0 }),
    member(1),
    member(2, { activeMonth: NOW - 7 }),
    member(3, { activeMonth: NOW - 6 }),
    member(4, { isLeaving: true }),
    member(5),
  ];
  expect(dueRemovals(watch(members, { dead: [0, 5] }))).toEqual([4, 2, 5]);
});

test('what waits already is not proposed again', () => {
  const due = watch([member(0), member(1), member(2)], { dead: [1, 2] });
  const pending = [{ leafIndex: 1, by: { who: 'hub' as const, form: 'external' as const } }];
  expect(dueRemovals({ ...due, waiting: { ...due.waiting, pending } })).toEqual([2]);
});

test('the last owner stays, and of two owners that are gone one', () => {
  const owners = {
    entries: [who(1), who(2)].map((participant) => ({ participant, role: 'owner' as const })),
  };
  const due = watch([member(0), member(1), member(2)], { dead: [1, 2] });
  const room = { ...due.waiting.room, ...owners };
  expect(dueRemovals({ ...due, waiting: { ...due.waiting, room } })).toEqual([1]);
});

test('both of a conversation stay, but not all their clients', () => {
  const one = [member(0), member(1, { participant: who(1) })];
  expect(dueRemovals(watch(one, { dead: [1], kind: 'dm' }))).toEqual([]);
  const two = [...one, member(2, { participant: who(1) })];
  expect(dueRemovals(watch(two, { dead: [1, 2], kind: 'dm' }))).toEqual([1]);
});

test('so many are proposed at once, and the others with the next request', () => {
  const members = Array.from({ length: 100 }, (_, at) => member(at));
  const dead = members.map(({ leafIndex }) => leafIndex);
  expect(dueRemovals(watch(members, { dead }))).toHaveLength(REMOVALS_MAX);
});

test('whether anybody is away is known without looking at the rooms', () => {
  const { roster } = watch([member(0), member(1, { activeMonth: NOW - 7 })]);
  expect([isAnybodyAway(roster, NOW - 6), isAnybodyAway(roster, NOW - 7)]).toEqual([true, false]);
});

test('whoever was leaving, and whom the hub may not take out, says so again', () => {
  const { roster } = watch([
    member(0),
    member(1, { isLeaving: true }),
    member(2, { isLeaving: true }),
  ]);
  const after = withLeavers(roster, [2]);
  expect(after.members.map(({ isLeaving }) => isLeaving)).toEqual([false, false, true]);
  expect(withLeavers(after, [2])).toBe(after);
});
