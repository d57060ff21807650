import { expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { parseParticipantId, withRole } from '@roost/mls/room';
import { foundingRoom, templateOf } from '@roost/mls/templates';
import { rosterAfter, rosterAfterJoin } from './commit.ts';
import {
  assertNotFrozen,
  awaitedEpochs,
  decodeRoster,
  encodeRoster,
  memberOfKey,
  restOf,
  rosterOf,
  withMember,
} from './roster.ts';
import type { Member } from './roster.ts';

const bytes = (fill: number, size = 32) => new Uint8Array(size).fill(fill);

const room = foundingRoom(templateOf('group'), 'a'.repeat(32), bytes(0, 0));
const rest = restOf(room, undefined);

function member(leafIndex: number, change: Partial<Member> = {}): Member {
  return {
    leafIndex,
    signatureKey: bytes(leafIndex + 1),
    participant: parseParticipantId(bytes(leafIndex, 16)),
    wrappedLinkKey: bytes(9, 60),
    queue: { domain: parseDomain('hub.example'), handle: bytes(7), pushKey: bytes(8) },
    joinedEpoch: 5n,
    hasCommitted: true,
    isLeaving: false,
    role: 'ordinary',
    activeMonth: 680,
    resyncs: { day: 20_000, count: 1 },
    ...change,
  };
}

test('a roster comes back as it was stored', () => {
  const members = [member(3, { hasCommitted: false }), member(0, { isLeaving: true })];
  const roster = rosterOf(members, {
    ...restOf(room, bytes(4)),
    pending: 2,
    refusedPolicy: bytes(5),
    isFrozen: true,
  });
  expect(decodeRoster(encodeRoster(roster))).toEqual(roster);
  expect(roster.members.map(({ leafIndex }) => leafIndex)).toEqual([0, 3]);
});

test('a member is found by its key alone', () => {
  const roster = rosterOf([member(0), member(1)], rest);
  expect(memberOfKey(roster, bytes(2))?.leafIndex).toBe(1);
  expect(memberOfKey(roster, bytes(3))).toBeUndefined();
  const moved = withMember(roster, member(1, { isLeaving: true }));
  expect(memberOfKey(moved, bytes(2))?.isLeaving).toBe(true);
  expect(() => withMember(roster, member(1, { signatureKey: bytes(1) }))).toThrow('invariant');
});

test('join infos are kept for those who did not commit yet', () => {
  const waiting = { hasCommitted: false };
  const members = [member(0), member(1, waiting), member(2, { ...waiting, joinedEpoch: 7n })];
  expect(awaitedEpochs(rosterOf(members, rest))).toEqual([5n, 7n]);
});

test('after an external commit the secret is used up, and who was leaving is leaving still', () => {
  const roster = rosterOf([member(0), member(1, { isLeaving: true })], restOf(room, bytes(4)));
  const after = rosterAfterJoin(roster, { joined: member(2), room }, 6n);
  expect(after.joinSecretHash).toBeUndefined();
  expect(after.members.map(({ isLeaving }) => isLeaving)).toEqual([false, true, false]);
  expect(after.members[2]).toMatchObject({ joinedEpoch: 6n, hasCommitted: true });
});

test('after a commit each member has the role that the room gives it', () => {
  const roster = rosterOf([member(0), member(1), member(2)], { ...rest, pending: 2 });
  const added = { ...member(3), activeMonth: 681 };
  const silent = room.roles.map((each) => ({
    ...each,
    capabilities: each.role === 'owner' ? each.capabilities : [],
  }));
  const roomAfter = withRole({ ...room, roles: silent }, member(1).participant, 'admin');
  const effect = {
    committer: member(1),
    added: [added],
    removed: new Set([2]),
    roomBefore: room,
    roomAfter,
    isFrozen: false,
    refusedPolicy: bytes(6),
  };
  const after = rosterAfter(roster, effect, 6n);
  expect(after.members.map(({ leafIndex, role }) => [leafIndex, role])).toEqual([
    [0, 'ordinary'],
    [1, 'admin'],
    [3, 'ordinary'],
  ]);
  expect([...after.speaking]).toEqual(['owner']);
  expect(after).toMatchObject({ pending: 0, refusedPolicy: bytes(6), isFrozen: false });
  expect(after.members[2]).toMatchObject({
    joinedEpoch: 6n,
    hasCommitted: false,
    activeMonth: 681,
  });

  // Where the room stays the same, so do roles, and what was refused before.
  const quiet = { ...effect, added: [], roomBefore: roomAfter, refusedPolicy: undefined };
  const later = rosterAfter(after, { ...quiet, isFrozen: true }, 7n);
  expect(later.members.map(({ role }) => role)).toEqual(['ordinary', 'admin', 'ordinary']);
  expect(later).toMatchObject({ refusedPolicy: bytes(6), isFrozen: true });
  expect(() => assertNotFrozen(later)).toThrow('given up');
});
