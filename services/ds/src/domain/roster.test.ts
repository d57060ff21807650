import { expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { parseParticipantId } from '@roost/mls/room';
import type { RoomState } from '@roost/mls/room';
import { authorizeLeave, rosterAfterJoin } from './commit.ts';
import {
  awaitedEpochs,
  decodeRoster,
  encodeRoster,
  memberOfKey,
  rosterOf,
  withMember,
} from './roster.ts';
import type { Member } from './roster.ts';

const bytes = (fill: number, size = 32) => new Uint8Array(size).fill(fill);

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
    ...change,
  };
}

test('a roster comes back as it was stored', () => {
  const members = [member(3, { hasCommitted: false }), member(0, { isLeaving: true })];
  const roster = rosterOf(members, bytes(4));
  expect(decodeRoster(encodeRoster(roster))).toEqual(roster);
  expect(roster.members.map(({ leafIndex }) => leafIndex)).toEqual([0, 3]);
});

test('a member is found by its key alone', () => {
  const roster = rosterOf([member(0), member(1)], undefined);
  expect(memberOfKey(roster, bytes(2))?.leafIndex).toBe(1);
  expect(memberOfKey(roster, bytes(3))).toBeUndefined();
  const moved = withMember(roster, member(1, { isLeaving: true }));
  expect(memberOfKey(moved, bytes(2))?.isLeaving).toBe(true);
  expect(() => withMember(roster, member(1, { signatureKey: bytes(1) }))).toThrow('invariant');
});

test('join infos are kept for those who did not commit yet', () => {
  const waiting = { hasCommitted: false };
  const members = [member(0), member(1, waiting), member(2, { ...waiting, joinedEpoch: 7n })];
  expect(awaitedEpochs(rosterOf(members, undefined))).toEqual([5n, 7n]);
});

test('after an external commit the secret is used up, and who was leaving has to say so again', () => {
  const roster = rosterOf([member(0), member(1, { isLeaving: true })], bytes(4));
  const after = rosterAfterJoin(roster, member(2), 6n);
  expect(after.joinSecretHash).toBeUndefined();
  expect(after.members.map(({ isLeaving }) => isLeaving)).toEqual([false, false, false]);
  expect(after.members[2]).toMatchObject({ joinedEpoch: 6n, hasCommitted: true });
});

test('one leaves where somebody stays who can let one go', () => {
  const entries = [{ participant: member(0).participant, role: 'owner' as const }];
  const room: RoomState = {
    kind: 'group',
    defaultRole: 'ordinary',
    sealedTitle: bytes(0, 0),
    entries,
  };
  const both = rosterOf([member(0), member(1)], undefined);
  expect(() => authorizeLeave(both, room, member(1))).not.toThrow();
  expect(() => authorizeLeave(both, room, member(0))).toThrow('the last owner');
  const alone = rosterOf([member(0, { isLeaving: true }), member(1)], undefined);
  expect(() => authorizeLeave(alone, room, member(1))).toThrow('nobody stays');
});
