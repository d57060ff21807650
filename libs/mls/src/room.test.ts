import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import fc from 'fast-check';
import { encodePolicy } from './policy.ts';
import {
  decodeRoomState,
  encodeRoomState,
  parseParticipantId,
  participantBytes,
  roleOf,
  withRole,
} from './room.ts';
import type { RoomState } from './room.ts';
import { foundingRoom, templateOf } from './templates.ts';

const [ada, ben] = ['a', 'b'].map((digit) => digit.repeat(32)) as [string, string];
const owned = foundingRoom(templateOf('group'), ada, utf8('title'));

test('a room state is the same after it was written and read', () => {
  const hex = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(fc.uniqueArray(hex, { maxLength: 20, selector: String }), (ids) => {
      const entries = ids
        .map((id) => ({ participant: Buffer.from(id).toString('hex'), role: 'owner' as const }))
        .toSorted((x, y) => (x.participant < y.participant ? -1 : 1));
      expect(decodeRoomState(encodeRoomState({ ...owned, entries }))).toEqual({
        ...owned,
        entries,
      });
    }),
  );
});

test('the bytes of a room state are these', () => {
  const tls = encodeRoomState(owned);
  const title = Buffer.from('title').toString('hex');
  const roles = Buffer.from(encodePolicy(owned.roles)).toString('hex');
  expect(Buffer.from(tls).toString('hex')).toBe(`0002020205${title}${roles}11${ada}07`);
});

test.each([
  ['another version', (tls: Uint8Array) => tls.with(1, 1)],
  ['the kind group_dm', (tls: Uint8Array) => tls.with(2, 3)],
  ['a kind that we do not know', (tls: Uint8Array) => tls.with(2, 5)],
  ['a default role that we do not know', (tls: Uint8Array) => tls.with(3, 9)],
  ['a default role that nobody has by default', (tls: Uint8Array) => tls.with(3, 3)],
  ['an entry of a stranger', (tls: Uint8Array) => tls.with(tls.length - 1, 0)],
  ['an entry of the hub', (tls: Uint8Array) => tls.with(tls.length - 1, 5)],
  ['an entry of a role that the room has not', (tls: Uint8Array) => tls.with(tls.length - 1, 8)],
  ['an entry that says the default', (tls: Uint8Array) => tls.with(tls.length - 1, 2)],
  ['a byte too many', (tls: Uint8Array) => Uint8Array.of(...tls, 0)],
  ['a byte too few', (tls: Uint8Array) => tls.slice(0, -1)],
])('a room state with %s is refused', (_, change) => {
  expect(() => decodeRoomState(change(encodeRoomState(owned)))).toThrow(Failure);
});

test('entries that are not sorted, or there twice, are refused', () => {
  const one = encodeRoomState({ ...owned, entries: [{ participant: ada, role: 'owner' }] });
  const entry = one.slice(-17);
  const twice = Uint8Array.of(...one.slice(0, -18), 34, ...entry, ...entry);
  expect(() => decodeRoomState(twice)).toThrow('not sorted');
});

test('a participant is 16 bytes', () => {
  expect(parseParticipantId(new Uint8Array(16).fill(0xaa))).toBe(ada);
  expect(participantBytes(ada)).toEqual(new Uint8Array(16).fill(0xaa));
  expect(() => parseParticipantId(new Uint8Array(15))).toThrow(Failure);
  expect(() => participantBytes(ada.slice(2))).toThrow(Failure);
});

test('a role is found by participant, and the default is no entry', () => {
  expect(roleOf(owned, ada)).toBe('owner');
  expect(roleOf(owned, ben)).toBe('ordinary');
  expect(withRole(withRole(owned, ben, 'owner'), ada, 'ordinary')).toEqual(ownedBy(ben));
});

function ownedBy(...owners: readonly string[]): RoomState {
  return { ...owned, entries: owners.map((participant) => ({ participant, role: 'owner' })) };
}
