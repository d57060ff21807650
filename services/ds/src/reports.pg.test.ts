import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { DAY_MS } from '@roost/core/time';
import { BadCommitKind } from '@roost/proto/roost/delivery/v1/delivery';
import { dsDefaults } from './config.ts';
import { sweepExpired } from './sweeper.ts';
import { commit, leaveProposal, together } from './testing/deeds.fixture.ts';
import { dump, expectRefusal } from './testing/expect.fixture.ts';
import { openHouse } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { asMember, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const KIND = BadCommitKind.PATH_SECRET;

const report = async (who: Person, room: Room, epoch: bigint, kind: BadCommitKind = KIND) =>
  await house.client.reportBadCommit({ ...where(room), epoch, kind }, asMember(who));

const suspects = async (who: Person, room: Room): Promise<readonly bigint[]> => {
  const info = await house.client.getGroupInfo(where(room), asMember(who));
  const log = await house.client.getLog({ ...where(room), fromEpoch: 0n }, asMember(who));
  expect(log.suspectEpochs).toEqual(info.suspectEpochs);
  return info.suspectEpochs;
};

test('an epoch that two of three call bad is suspect to all who were there', async () => {
  const { room, people } = await together(house, 'alice', 'bob', 'carol');
  const [alice, bob, carol] = people as [Person, Person, Person];
  await commit(house, alice, room);
  await report(bob, room, 2n);
  await report(bob, room, 2n);
  await report(bob, room, 2n, BadCommitKind.LINK);
  expect(await suspects(alice, room)).toEqual([]);
  await report(carol, room, 2n, BadCommitKind.CONFIRMATION_TAG);
  expect(await suspects(alice, room)).toEqual([2n]);

  const dave = await person('dave');
  await commit(house, alice, room, { add: [dave] });
  expect(await suspects(dave, room)).toEqual([]);
  expect(await suspects(bob, room)).toEqual([2n]);
});

test('the clients of one participant have one voice', async () => {
  const { room, people } = await together(house, 'alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  const phone = await person("bob's phone", { siblingOf: bob });
  await commit(house, bob, room, { add: [phone] });
  await report(bob, room, 2n);
  await report(phone, room, 2n);
  expect(await suspects(alice, room)).toEqual([]);
});

test('a report is of an epoch that one saw begin, and of a kind that there is', async () => {
  const { room, people } = await together(house, 'alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  await expectRefusal(report(alice, room, 0n), 'MALFORMED');
  await expectRefusal(report(bob, room, 0n), 'MALFORMED');
  await expectRefusal(report(bob, room, 2n), 'EPOCH_UNKNOWN');
  await expectRefusal(report(bob, room, 1n, BadCommitKind.UNSPECIFIED), 'MALFORMED');
  const proposal = { tls: await leaveProposal(bob) };
  await house.client.propose({ ...where(room), proposal }, asMember(bob));
  await expectRefusal(report(bob, room, 1n), 'NOT_ALLOWED');
});

test('reports go when what they are about is gone from the log', async () => {
  await using old = await openHouse();
  const { room, people } = await together(old, 'alice', 'bob');
  const [alice] = people as [Person];
  const request = { ...where(room), epoch: 1n, kind: KIND };
  await old.client.reportBadCommit(request, asMember(alice));
  expect(await dump(old.database, ['reports'])).not.toBe('');
  old.clock.advance(91 * DAY_MS);
  await sweepExpired(old.sweeping, dsDefaults.limits);
  expect(await dump(old.database, ['reports'])).toBe('');
});
