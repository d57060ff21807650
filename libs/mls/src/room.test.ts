import { describe, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import fc from 'fast-check';
import {
  authorize,
  decodeRoomState,
  encodeRoomState,
  parseParticipantId,
  participantBytes,
  roleOf,
  withRole,
} from './room.ts';
import type { Change, RoomState } from './room.ts';

const [ada, ben, cleo, dora] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(32)) as [
  string,
  string,
  string,
  string,
];
const owned: RoomState = {
  kind: 'group',
  defaultRole: 'ordinary',
  sealedTitle: utf8('title'),
  entries: [{ participant: ada, role: 'owner' }],
};
const dm: RoomState = { ...owned, kind: 'dm', sealedTitle: utf8(''), entries: [] };
const all = [ada, ben, cleo];

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
  expect(Buffer.from(tls).toString('hex')).toBe(`0001020205${title}11${ada}07`);
});

test.each([
  ['another version', (tls: Uint8Array) => tls.with(1, 2)],
  ['the kind group_dm', (tls: Uint8Array) => tls.with(2, 3)],
  ['the kind public', (tls: Uint8Array) => tls.with(2, 4)],
  ['a default role that we do not know', (tls: Uint8Array) => tls.with(3, 6)],
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

describe('in a group', () => {
  const cases: [string, string, Change, string | undefined][] = [
    ['an owner adds', ada, { kind: 'add', participants: [dora] }, undefined],
    ['an ordinary participant adds', ben, { kind: 'add', participants: [dora] }, undefined],
    ['an owner removes', ada, { kind: 'remove', participants: [ben] }, undefined],
    ['who is ordinary removes', ben, { kind: 'remove', participants: [cleo] }, 'only an owner'],
    ['who is ordinary leaves', ben, { kind: 'leave' }, undefined],
    ['the last owner leaves', ada, { kind: 'leave' }, 'the last owner'],
    ['one adds an own client', ben, { kind: 'add_client', participant: ben }, undefined],
    ['one adds a client of another', ben, { kind: 'add_client', participant: ada }, 'own clients'],
    ['one removes an own client', ben, { kind: 'remove_client', participant: ben }, undefined],
    ['an owner splits a user', ada, { kind: 'remove_client', participant: ben }, 'own clients'],
    ['one renews keys', ben, { kind: 'update' }, undefined],
    ['one comes back', ben, { kind: 'resync' }, undefined],
    ['a stranger comes back', dora, { kind: 'resync' }, 'only participants'],
    ['a stranger adds', dora, { kind: 'add', participants: [dora] }, 'only participants'],
    ['a stranger enters', dora, { kind: 'external_join' }, 'being added'],
    ['one sets the title', ben, { kind: 'room', next: titled('x') }, undefined],
    ['an owner makes another', ada, { kind: 'room', next: ownedBy(ada, ben) }, undefined],
    ['one makes itself owner', ben, { kind: 'room', next: ownedBy(ada, ben) }, 'gives roles'],
    [
      'one raises all',
      ben,
      { kind: 'room', next: { ...ownedBy(), defaultRole: 'owner' } },
      'roles',
    ],
    ['an owner gives up alone', ada, { kind: 'room', next: ownedBy() }, 'at least one owner'],
    ['an owner hands over', ada, { kind: 'room', next: ownedBy(cleo) }, undefined],
    ['an owner names a stranger', ada, { kind: 'room', next: ownedBy(ada, dora) }, 'participants'],
    ['an owner changes the kind', ada, { kind: 'room', next: { ...owned, kind: 'dm' } }, 'kind'],
  ];
  test.each(cases)('%s', (_, actor, change, refusal) => {
    expectVerdict(() => authorize(owned, all, actor, change), refusal);
  });

  test('the last owner leaves when nobody else is there', () => {
    expectVerdict(() => authorize(owned, [ada], ada, { kind: 'leave' }), undefined);
  });

  test('one of two owners leaves', () => {
    expectVerdict(() => authorize(ownedBy(ada, ben), all, ada, { kind: 'leave' }), undefined);
  });

  test('the entry of an owner who left is cleared by anybody', () => {
    const next = ownedBy(ben);
    const change: Change = { kind: 'room', next };
    expectVerdict(() => authorize(ownedBy(ada, ben), [ben, cleo], cleo, change), undefined);
  });
});

describe('in a dm', () => {
  const cases: [string, string[], Change, string | undefined][] = [
    ['nobody is added', [ada, ben], { kind: 'add', participants: [cleo] }, 'nobody is added'],
    ['nobody is removed', [ada, ben], { kind: 'remove', participants: [ben] }, 'nobody is removed'],
    ['nobody leaves', [ada, ben], { kind: 'leave' }, 'nobody leaves'],
    [
      'the state stays',
      [ada, ben],
      { kind: 'room', next: { ...dm, sealedTitle: utf8('x') } },
      'no title',
    ],
    ['the same state is no change', [ada, ben], { kind: 'room', next: dm }, undefined],
    ['an own client is added', [ada, ben], { kind: 'add_client', participant: ada }, undefined],
    ['keys are renewed', [ada, ben], { kind: 'update' }, undefined],
  ];
  test.each(cases)('%s', (_, participants, change, refusal) => {
    expectVerdict(() => authorize(dm, participants, ada, change), refusal);
  });

  test('the second enters by itself, the third does not', () => {
    const enter: Change = { kind: 'external_join' };
    expectVerdict(() => authorize(dm, [ada], ben, enter), undefined);
    expectVerdict(() => authorize(dm, [ada], ada, enter), 'full');
    expectVerdict(() => authorize(dm, [ada, ben], cleo, enter), 'full');
  });
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

function titled(title: string): RoomState {
  return { ...owned, sealedTitle: utf8(title) };
}

function ownedBy(...owners: readonly string[]): RoomState {
  return { ...owned, entries: owners.map((participant) => ({ participant, role: 'owner' })) };
}

function expectVerdict(decide: () => void, refusal: string | undefined): void {
  if (refusal === undefined) {
    expect(decide).not.toThrow();
    return;
  }
  const expected = { reason: 'NOT_ALLOWED', message: expect.stringContaining(refusal) };
  expect(decide).toThrow(expect.objectContaining(expected));
}
