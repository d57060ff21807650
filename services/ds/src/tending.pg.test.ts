import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeGroupEvent } from '@roost/bus/group-event';
import { toHex } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { encodePolicy } from '@roost/mls/policy';
import { templateNamed } from '@roost/mls/templates';
import { stateOf } from '@roost/mls/testing';
import { dsDefaults } from './config.ts';
import { sweepExpired } from './sweeper.ts';
import {
  catchUp,
  commit,
  epochOf,
  found,
  prepare,
  prepareJoin,
  roomSeenBy,
  send,
  together,
} from './testing/deeds.fixture.ts';
import { dump, expectRefusal } from './testing/expect.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { asMember, asNew, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const kindsAt = ({ receiver }: House, who: Person) =>
  receiver.queueOf(who.handle).map(({ kind }) => kind);
const leavesIn = (who: Person): number =>
  stateOf(who.actor).ratchetTree.filter((node, at) => at % 2 === 0 && node !== undefined).length;

async function trio(at = house) {
  const { room, people } = await together(at, 'alice', 'bob', 'carol');
  const [alice, bob, carol] = people as [Person, Person, Person];
  return { room, alice, bob, carol };
}

/** The QS says that a queue is gone, with the next message to it. */
async function dies(who: Person, by: Person, room: Room, at = house): Promise<void> {
  at.receiver.gone.add(toHex(who.handle));
  await send(at, by, room, 'to nobody');
  await quiet(at);
}

const deadRows = async (room: Room): Promise<number> =>
  (await dump(house.database, ['dead_queues']))
    .split('\n')
    .filter((row) => row.includes(room.id.uuid)).length;

test('whose queue is gone is proposed for removal by the next message, once, and goes', async () => {
  const { room, alice, bob, carol } = await trio();
  await dies(carol, alice, room);
  await send(house, bob, room, 'is anybody here?');
  await send(house, bob, room, 'hello?');
  await quiet(house);
  expect(kindsAt(house, alice).slice(-3)).toEqual(['application', 'proposal', 'application']);

  // Whoever does not carry it is refused.
  const ignorant = await prepare(bob, room);
  await expectRefusal(house.client.commit(ignorant.request, asMember(bob)), 'INVALID_PROPOSAL');
  await catchUp(house, alice, room);
  await commit(house, alice, room);
  expect(leavesIn(alice)).toBe(2);
  await quiet(house);
  await catchUp(house, bob, room, 1);
  expect(epochOf(bob)).toEqual(epochOf(alice));
  const reading = house.client.getGroupInfo(where(room), asMember(carol));
  await expectRefusal(reading, 'GROUP_UNKNOWN');
  // The commit went to Carol's queue too, and was called gone: the next request forgets it.
  await send(house, bob, room, 'without her');
  expect(await deadRows(room)).toBe(0);
});

test('the committer hears at once what the hub proposes for the new epoch', async () => {
  const { room, alice, bob, carol } = await trio();
  house.receiver.gone.add(toHex(carol.handle));
  await commit(house, alice, room);
  await quiet(house);
  await catchUp(house, bob, room, 1);
  const { made, request } = await prepare(bob, room);
  const { result } = await house.client.commit(request, asMember(bob));
  bob.actor.state = made.state;
  const proposals = result?.$case === 'accepted' ? result.value.proposals : [];
  expect(proposals.map(({ epoch }) => epoch)).toEqual([3n]);
  expect(await house.client.commit(request, asMember(bob))).toEqual({ result });
  await quiet(house);
  // By its queue it comes too, and the log and a lost race tell of it.
  expect(kindsAt(house, bob).slice(-1)).toEqual(['proposal']);
  const { events } = await house.client.getLog({ ...where(room), fromEpoch: 3n }, asMember(bob));
  expect(events).toEqual(proposals);
  const late = await prepare(alice, room);
  const lost = await house.client.commit(late.request, asMember(alice));
  expect(lost.result).toMatchObject({ $case: 'conflict', value: { currentEpoch: 3n } });
  const seen = lost.result?.$case === 'conflict' ? lost.result.value.events : [];
  expect(seen.map(({ event }) => decodeGroupEvent(event).kind)).toEqual(['commit', 'proposal']);
});

test('who says in time where it is reached instead stays', async () => {
  const { room, alice, bob, carol } = await trio();
  await dies(carol, alice, room);
  expect(await deadRows(room)).toBe(1);
  const moved = await person('moved');
  const { queueConfig } = moved;
  await house.client.updateQueueConfig({ ...where(room), queueConfig }, asMember(carol));
  await send(house, bob, room, 'still with us');
  await quiet(house);
  expect(kindsAt(house, moved)).toEqual(['application']);
  expect(kindsAt(house, bob)).not.toContain('proposal');
  expect(await deadRows(room)).toBe(0);
});

test('nobody is proposed for removal by what it does itself, nor the last owner', async () => {
  const { room, alice, bob, carol } = await trio();
  await dies(alice, bob, room);
  await send(house, alice, room, 'I am here');
  await send(house, carol, room, 'and so am I');
  await quiet(house);
  expect(kindsAt(house, bob)).not.toContain('proposal');
});

test('of two that talk to each other none is removed, but a dead client of one', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const phone = await person("alice's phone", { siblingOf: alice });
  const secret = nodeCrypto.random(32);
  const room = await found(house, alice, 'dm', secret);
  const { made, request } = await prepareJoin(house, bob, room, secret);
  await house.client.joinGroup(request, asNew(bob));
  bob.actor.state = made.state;
  await quiet(house);
  await catchUp(house, alice, room);
  await dies(alice, bob, room);
  await send(house, bob, room, 'are you there?');
  await quiet(house);
  expect(kindsAt(house, bob)).toEqual([]);

  await commit(house, alice, room, { add: [phone] });
  await quiet(house);
  await catchUp(house, bob, room);
  await send(house, bob, room, 'are you there?');
  await quiet(house);
  expect(kindsAt(house, bob)).toEqual(['commit', 'proposal']);
  await catchUp(house, bob, room, 1);
  await commit(house, bob, room);
  expect(leavesIn(bob)).toBe(2);
});

test('who was away for half a year is proposed for removal; who shows life is not', async () => {
  await using old = await openHouse();
  const { room, alice, bob, carol } = await trio(old);
  old.clock.advance(100 * DAY_MS);
  await send(old, bob, room, 'I live');
  old.clock.advance(100 * DAY_MS);
  await send(old, alice, room, 'so do I');
  await quiet(old);
  expect(kindsAt(old, bob).slice(-2)).toEqual(['application', 'proposal']);
  await catchUp(old, alice, room);
  await commit(old, alice, room);
  expect(leavesIn(alice)).toBe(2);
  const call = (who: Person) => old.client.getGroupInfo(where(room), asMember(who));
  await call(bob);
  await expectRefusal(call(carol), 'GROUP_UNKNOWN');
});

test('groups that nobody used for two years are deleted for real', async () => {
  await using old = await openHouse();
  const { room, alice } = await trio(old);
  const kept = await together(old, 'dora');
  const [dora] = kept.people as [Person];
  old.clock.advance(400 * DAY_MS);
  await send(old, dora, kept.room, 'still here');
  old.clock.advance(400 * DAY_MS);
  await sweepExpired(old.sweeping, dsDefaults.limits);
  await expectRefusal(send(old, alice, room, 'hello'), 'GROUP_UNKNOWN');
  const rows = (await dump(old.database)).split('\n').filter((row) => row.includes(room.id.uuid));
  expect(rows).toEqual([expect.stringMatching(/^tombstones /)]);
  await send(old, dora, kept.room, 'and so is this');
});

test('the hub proposes the policy that its operator wants; who leaves it out, refused it', async () => {
  await using strict = await openHouse({ roomPolicies: { group: 'strict' } });
  const { room, people } = await together(strict, 'alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  const wanted = encodePolicy(templateNamed('strict').roles);
  expect(kindsAt(strict, bob)).toEqual(['welcome', 'proposal']);
  await catchUp(strict, alice, room);
  await commit(strict, alice, room);
  await quiet(strict);
  await catchUp(strict, bob, room, 2);
  expect(encodePolicy(roomSeenBy(bob).roles)).toEqual(wanted);

  const other = await together(strict, 'carol', 'dave');
  const [carol, dave] = other.people as [Person, Person];
  // Carol has not taken it in, and goes on without.
  await commit(strict, carol, other.room);
  await commit(strict, carol, other.room);
  await quiet(strict);
  expect(kindsAt(strict, dave)).toEqual(['welcome', 'proposal', 'commit', 'commit']);
  expect(encodePolicy(roomSeenBy(carol).roles)).not.toEqual(wanted);
});
