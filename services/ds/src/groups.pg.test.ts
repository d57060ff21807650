import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fromUtf8, utf8 } from '@roost/core/bytes';
import { wrongStatements } from '@roost/testing/statements';
import { openHouse, quiet } from './testing/house.ts';
import type { House } from './testing/house.ts';
import {
  asMember,
  asNew,
  catchUp,
  commit,
  epochOf,
  found,
  foundingOf,
  leaveProposal,
  newRoom,
  person,
  prepare,
  roomStateOf,
  send,
  where,
} from './testing/people.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

test('every statement fits the schema', async () => {
  expect(await wrongStatements(house.database)).toEqual({});
});

test('members are added, talk and converge; each hears of everything but its own', async () => {
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice);
  expect(await commit(house, alice, room, { add: [bob, carol] })).toBe(1n);
  await quiet(house);
  await catchUp(house, bob, room);
  await catchUp(house, carol, room);
  expect(epochOf(bob)).toEqual(epochOf(alice));

  await commit(house, bob, room);
  await quiet(house);
  await catchUp(house, alice, room);
  await catchUp(house, carol, room, 1);
  expect(epochOf(carol)).toEqual(epochOf(bob));
  expect(epochOf(alice)).toEqual(epochOf(bob));

  const tls = await send(house, carol, room, 'hello');
  await quiet(house);
  const kinds = (who: typeof alice) => house.receiver.queueOf(who.handle).map(({ kind }) => kind);
  expect(kinds(alice)).toEqual(['commit', 'application']);
  expect(kinds(bob)).toEqual(['welcome', 'application']);
  expect(kinds(carol)).toEqual(['welcome', 'commit']);
  expect(house.receiver.queueOf(alice.handle)[1]).toMatchObject({ mlsMessage: tls, epoch: 2n });
});
