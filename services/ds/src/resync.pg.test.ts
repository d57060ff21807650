import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeGroupEvent } from '@roost/bus/group-event';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeAddedLeaf } from '@roost/identity/leaf';
import { receive } from '@roost/mls/testing';
import { dsDefaults } from './config.ts';
import { sweepExpired } from './sweeper.ts';
import {
  catchUp,
  commit,
  epochOf,
  leaveProposal,
  prepare,
  prepareResync,
  send,
  together,
} from './testing/deeds.fixture.ts';
import { expectRefusal } from './testing/expect.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { NOTHING, addedLeafOf, asMember, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

async function trio() {
  const { room, people } = await together(house, 'alice', 'bob', 'carol');
  const [alice, bob, carol] = people as [Person, Person, Person];
  return { room, alice, bob, carol };
}

const resync = async (who: Person, room: Room): Promise<bigint | undefined> => {
  const { made, request } = await prepareResync(house, who, room);
  const { result } = await house.client.resync(request, asMember(who));
  if (result?.$case !== 'accepted') return undefined;
  who.actor.state = made.state;
  return result.value.epoch;
};

test('a member that lost its state comes back in its own place, and all go on together', async () => {
  const { room, alice, bob, carol } = await trio();
  bob.actor.state = undefined;
  expect(await resync(bob, room)).toBe(2n);
  await quiet(house);
  await catchUp(house, alice, room);
  await catchUp(house, carol, room, 1);
  expect(epochOf(alice)).toEqual(epochOf(bob));
  expect(epochOf(carol)).toEqual(epochOf(bob));
  await send(house, bob, room, 'back again');
  await commit(house, bob, room);
  await commit(house, bob, room, { add: [await person('dave')] });

  const { links, suspectEpochs } = await house.client.getGroupInfo(where(room), asMember(alice));
  expect(suspectEpochs).toEqual([]);
  expect(links.map(({ addedLeaf }) => addedLeaf)).toContainEqual(encodeAddedLeaf(addedLeafOf(bob)));
});

test('who came back sees nothing from before', async () => {
  const { room, alice, bob } = await trio();
  await commit(house, alice, room);
  await commit(house, alice, room);
  expect(await resync(bob, room)).toBe(4n);
  const asked = { ...where(room), fromEpoch: 0n };
  const { events } = await house.client.getLog(asked, asMember(bob));
  expect(events).toEqual([]);
});

test('the same commit gets the same answer; a lost race is an answer without events', async () => {
  const { room, alice, bob } = await trio();
  const { request } = await prepareResync(house, bob, room);
  const late = await prepareResync(house, bob, room);
  const first = await house.client.resync(request, asMember(bob));
  house.clock.advance(1_000);
  expect(await house.client.resync(request, asMember(bob))).toEqual(first);
  const { result } = await house.client.resync(late.request, asMember(bob));
  expect(result).toEqual({ $case: 'conflict', value: { currentEpoch: 2n, events: [] } });
  await expectRefusal(house.client.resync(request, asMember(alice)), 'NOT_ALLOWED');
});

test('nobody takes the place of another, nor becomes somebody else', async () => {
  const { room, alice, bob } = await trio();
  const { client } = house;
  const bobs = await prepareResync(house, bob, room);
  await expectRefusal(client.resync(bobs.request, asMember(alice)), 'NOT_ALLOWED');

  const renamed = { ...bob, participantId: alice.participantId };
  const asAlice = await prepareResync(house, bob, room, renamed);
  await expectRefusal(client.resync(asAlice.request, asMember(bob)), 'NOT_ALLOWED');
  const rewrapped = { ...bob, wrappedLinkKey: nodeCrypto.random(60) };
  const otherLink = await prepareResync(house, bob, room, rewrapped);
  await expectRefusal(client.resync(otherLink.request, asMember(bob)), 'NOT_ALLOWED');

  const plain = await prepare(bob, room);
  const inside = { ...plain.request, queueConfig: NOTHING };
  await expectRefusal(client.resync(inside, asMember(bob)), 'INVALID_MLS');
  const outside = { ...plain.request, ...bobs.request };
  await expectRefusal(client.commit(outside, asMember(bob)), 'NOT_ALLOWED');
  expect(await resync(bob, room)).toBe(2n);
});

test('a client comes back a few times a day, and then waits until the day is over', async () => {
  await using strict = await openHouse({ limits: { resyncsPerDay: 2 } });
  const { room, people } = await together(strict, 'alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  const again = async (who: Person): Promise<void> => {
    const { made, request } = await prepareResync(strict, who, room);
    await strict.client.resync(request, asMember(who));
    who.actor.state = made.state;
  };
  await again(bob);
  await again(bob);
  const tooMany = await prepareResync(strict, bob, room);
  await expect(strict.client.resync(tooMany.request, asMember(bob))).rejects.toMatchObject({
    reason: 'RATE_LIMITED',
    facts: { retryAfterMs: DAY_MS - (strict.clock.now() % DAY_MS) },
  });
  await again(alice);
  strict.clock.advance(DAY_MS);
  await again(bob);
});

test('who leaves does not come back; its removal is proposed again by the hub', async () => {
  const { room, alice, bob, carol } = await trio();
  const proposal = { tls: await leaveProposal(carol) };
  await house.client.propose({ ...where(room), proposal }, asMember(carol));
  const { request } = await prepareResync(house, carol, room);
  await expectRefusal(house.client.resync(request, asMember(carol)), 'NOT_ALLOWED');

  const bobs = await prepareResync(house, bob, room);
  const answer = await house.client.resync(bobs.request, asMember(bob));
  bob.actor.state = bobs.made.state;
  const followed = answer.result?.$case === 'accepted' ? answer.result.value.proposals : [];
  expect(followed.map(({ epoch, event }) => [epoch, decodeGroupEvent(event).kind])).toEqual([
    [2n, 'proposal'],
  ]);
  expect(await house.client.resync(bobs.request, asMember(bob))).toEqual(answer);

  // Bob needs nothing else to commit it; one that does not carry it is refused.
  const without = await prepare(bob, room);
  await expectRefusal(house.client.commit(without.request, asMember(bob)), 'INVALID_PROPOSAL');
  for (const { event } of followed) {
    const decoded = decodeGroupEvent(event);
    if (decoded.kind === 'proposal') await receive(bob.actor, decoded.mlsMessage);
  }
  await commit(house, bob, room);
  await quiet(house);
  await catchUp(house, alice, room);
  expect(epochOf(alice)).toEqual(epochOf(bob));
  const reading = house.client.getGroupInfo(where(room), asMember(carol));
  await expectRefusal(reading, 'GROUP_UNKNOWN');
});

test('who came back is reached where it says', async () => {
  const { room, alice, bob } = await trio();
  const moved = await person('moved');
  const { request } = await prepareResync(house, bob, room);
  await house.client.resync({ ...request, queueConfig: moved.queueConfig }, asMember(bob));
  await quiet(house);
  await catchUp(house, alice, room);
  await send(house, alice, room, 'hello');
  await quiet(house);
  expect(house.receiver.queueOf(moved.handle).map(({ kind }) => kind)).toEqual(['application']);
});

test('who fell behind the log comes back by a resync', async () => {
  await using old = await openHouse();
  const { room, people } = await together(old, 'alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  await commit(old, alice, room);
  old.clock.advance(91 * DAY_MS);
  await sweepExpired(old.sweeping, dsDefaults.limits);
  await commit(old, alice, room);
  const asked = { ...where(room), fromEpoch: 1n };
  await expectRefusal(old.client.getLog(asked, asMember(bob)), 'EPOCH_TOO_OLD');
  const { made, request } = await prepareResync(old, bob, room);
  const { result } = await old.client.resync(request, asMember(bob));
  expect(result?.$case).toBe('accepted');
  await receive(alice.actor, made.tls);
  bob.actor.state = made.state;
  expect(epochOf(alice)).toEqual(epochOf(bob));
  expect((await old.client.getLog(asked, asMember(bob))).events).toEqual([]);
});
