import { expect, test } from '@jest/globals';
import { GroupId } from '@roost/core/ids';
import fc from 'fast-check';
import { decodeGroupEvent, encodeGroupEvent, type GroupEvent } from './group-event.ts';

const groupId = GroupId.fromText('00112233-4455-4677-8899-aabbccddeeff@a.example', 'group');
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const head = fc.record({ groupId: fc.constant(groupId), epoch: u64, acceptedAtMs: u64 });
const mlsMessage = fc.uint8Array({ minLength: 1 });
const body = fc.oneof(
  fc.record({ kind: fc.constantFrom('commit', 'proposal', 'application'), mlsMessage }),
  fc.record({
    kind: fc.constant('welcome'),
    mlsMessage,
    joiner: fc.record({
      keyPackageRef: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      joinerInfo: fc.uint8Array(),
    }),
  }),
  fc.record({ kind: fc.constant('group-deleted') }),
);

test('an event comes back as it was', () => {
  fc.assert(
    fc.property(head, body, (h, b) => {
      const event = { ...h, ...b } as GroupEvent;
      expect(decodeGroupEvent(encodeGroupEvent(event))).toEqual(event);
    }),
  );
});

test('whatever is cut off is MALFORMED', () => {
  const event = { groupId, epoch: 1n, acceptedAtMs: 2n, kind: 'commit' as const };
  const encoded = encodeGroupEvent({ ...event, mlsMessage: new Uint8Array(5) });
  for (let size = 0; size < encoded.length; size++) {
    expect(() => decodeGroupEvent(encoded.subarray(0, size))).toThrow('GroupEvent');
  }
});

test('a kind has exactly the parts that belong to it', () => {
  const common = { groupId, epoch: 1n, acceptedAtMs: 2n };
  const empty = encodeGroupEvent({ ...common, kind: 'commit', mlsMessage: new Uint8Array(0) });
  expect(() => decodeGroupEvent(empty)).toThrow('every kind but the deletion');
  const deleted = encodeGroupEvent({ ...common, kind: 'group-deleted' });
  deleted[2] = 6;
  expect(() => decodeGroupEvent(deleted)).toThrow('its kind is unknown');
});
