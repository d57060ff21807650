import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { makeApplication } from '@roost/mls/testing';
import type { Database } from '@roost/postgres/database';
import type { FaultPoint } from './desk.ts';
import { emptyDatabase, openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { TestReceiver } from './testing/receiver.fixture.ts';
import type { Weather } from './testing/receiver.fixture.ts';
import { commit, found, prepare, send } from './testing/deeds.fixture.ts';
import { asMember, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

/** Numbers from 0 to 1 that are the same in each run. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function badWeather(roll: () => number): () => Weather {
  const kinds: Weather[] = ['fine', 'fine', 'lost', 'answer-lost', 'repeated', 'late'];
  return () => kinds[Math.floor(roll() * kinds.length)] ?? 'fine';
}

/** Calls until the process lives long enough to answer: what a client does after a lost reply. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ServerError') throw error;
    }
  }
}

const received = (house: Pick<House, 'receiver'>, who: Person) =>
  house.receiver
    .queueOf(who.handle)
    .map((event) => (event.kind === 'application' ? toHex(event.mlsMessage) : event.kind));

test('over a bus that loses, repeats and reorders, all arrives once and in order', async () => {
  const roll = dice(7);
  const receiver = new TestReceiver();
  receiver.weather = badWeather(roll);
  await using house = await openHouse({ receiver });
  const rooms: { room: Room; people: [Person, Person]; said: string[] }[] = [];
  for (let at = 0; at < 4; at++) {
    const people: [Person, Person] = [await person('alice'), await person('bob')];
    const room = await found(house, people[0]);
    await commit(house, people[0], room, { add: [people[1]] });
    rooms.push({ room, people, said: [] });
  }
  for (let round = 0; round < 12; round++) {
    await Promise.all(
      rooms.map(async ({ room, people: [alice], said }) => {
        said.push(toHex(await send(house, alice, room, `message ${round}`)));
      }),
    );
  }
  await quiet(house);
  for (const { people, said } of rooms) {
    expect(received(house, people[1])).toEqual(['welcome', ...said]);
  }
  expect(receiver.gaps).toEqual([]);
});

test('killed anywhere, the DS loses and doubles nothing that it accepted', async () => {
  const roll = dice(11);
  const receiver = new TestReceiver();
  await using database = await emptyDatabase();
  const struck = new Set<FaultPoint>();
  const faults = (point: FaultPoint): void => {
    // A request has many statements, and one that never ends teaches nothing.
    if (roll() > (point === 'accept.statement' ? 0.05 : 0.3)) return;
    struck.add(point);
    throw new Error('killed');
  };
  await using house = await openHouse({ receiver, database, faults });
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await insist(async () => await foundSteadily(house, database, receiver, alice));
  const { made, request } = await prepare(alice, room, { add: [bob, carol] });
  await insist(async () => await house.client.commit(request, asMember(alice)));
  alice.actor.state = made.state;

  const said: string[] = [];
  // Which points are come by, and how often, is chance: on a busy machine one batch carries much.
  for (let at = 0; at < 20 || struck.size < POINTS.length; at++) {
    expect(at).toBeLessThan(400);
    const tls = await makeApplication(alice.actor, utf8(`message ${at}`));
    const message = { ...where(room), message: { tls } };
    await insist(async () => await house.client.sendMessage(message, asMember(alice)));
    said.push(toHex(tls));
    if (at >= 20) await quiet(house);
  }
  await quiet(house);
  expect(received(house, bob)).toEqual(['welcome', ...said]);
  expect(received(house, carol)).toEqual(['welcome', ...said]);
  expect([...struck].toSorted()).toEqual(POINTS);
});

const POINTS: readonly FaultPoint[] = [
  'accept.decided',
  'accept.durable',
  'accept.statement',
  'dispatch.answered',
  'dispatch.deleted',
  'dispatch.read',
];

/** Founded by a DS that nothing happens to: the other one goes on with it. */
async function foundSteadily(
  _: House,
  database: Database,
  receiver: TestReceiver,
  founder: Person,
): Promise<Room> {
  await using steady = await openHouse({ database, receiver });
  return await found(steady, founder);
}

test('what was accepted while the receiver was away arrives after a restart, Welcome last', async () => {
  const receiver = new TestReceiver();
  await using database = await emptyDatabase();
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  receiver.isAway = true;
  {
    await using house = await openHouse({ receiver, database });
    const room = await found(house, alice);
    await commit(house, alice, room, { add: [bob] });
    await commit(house, alice, room, { add: [carol] });
    await send(house, alice, room, 'hello');
  }
  expect(receiver.arrivals).toEqual([]);
  receiver.isAway = false;
  await using house = await openHouse({ receiver, database });
  await quiet(house);
  const name = new Map([
    [toHex(bob.handle), 'bob'],
    [toHex(carol.handle), 'carol'],
  ]);
  expect(receiver.arrivals.map(({ handle, event }) => `${event.kind} ${name.get(handle)}`)).toEqual(
    ['welcome bob', 'commit bob', 'welcome carol', 'application bob', 'application carol'],
  );
});

test('two replicas carry the same outbox, and everything arrives once', async () => {
  const receiver = new TestReceiver();
  const roll = dice(3);
  receiver.weather = badWeather(roll);
  await using one = await openHouse({ receiver });
  await using two = await openHouse({ receiver, database: one.database });
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(one, alice);
  await commit(one, alice, room, { add: [bob] });
  const said: string[] = [];
  for (let at = 0; at < 30; at++) {
    said.push(toHex(await send(at % 2 === 0 ? one : two, alice, room, `message ${at}`)));
  }
  await quiet(one);
  expect(received(one, bob)).toEqual(['welcome', ...said]);
});

test('a receiver that was restored hears of a gap, and then of what comes after it', async () => {
  const receiver = new TestReceiver();
  await using house = await openHouse({ receiver });
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  await send(house, alice, room, 'one');
  await quiet(house);
  const backup = receiver.markOf(room.id.uuid);
  await send(house, alice, room, 'two');
  await send(house, alice, room, 'three');
  await quiet(house);
  const lost = receiver.markOf(room.id.uuid);

  receiver.marks.set(room.id.uuid, backup);
  const four = toHex(await send(house, alice, room, 'four'));
  await quiet(house);
  expect(receiver.gaps).toEqual([{ from: backup, to: lost }]);
  expect(received(house, bob).at(-1)).toBe(four);
});

test('a quiet group reveals a loss too: its head is told from time to time', async () => {
  const receiver = new TestReceiver();
  await using house = await openHouse({ receiver, dispatch: { headsMs: 30, batchEventsMax: 2 } });
  const rooms: Room[] = [];
  for (let at = 0; at < 5; at++) {
    const [alice, bob] = [await person('alice'), await person('bob')];
    const room = await found(house, alice);
    await commit(house, alice, room, { add: [bob] });
    rooms.push(room);
  }
  await quiet(house);
  const [room = none()] = rooms;
  const head = receiver.markOf(room.id.uuid);
  receiver.marks.delete(room.id.uuid);
  while (receiver.gaps.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(receiver.gaps).toEqual([{ from: { incarnation: 0, n: 0n }, to: head }]);
  expect(receiver.markOf(room.id.uuid)).toEqual(head);
  while (new Set(receiver.heads).size < rooms.length) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test('a DS that was restored goes on under its next incarnation, and is heard', async () => {
  const receiver = new TestReceiver();
  await using database = await emptyDatabase();
  const [alice, bob] = [await person('alice'), await person('bob')];
  let room: Room;
  {
    await using house = await openHouse({ receiver, database });
    room = await found(house, alice);
    await commit(house, alice, room, { add: [bob] });
    for (let at = 0; at < 5; at++) await send(house, alice, room, `message ${at}`);
    await quiet(house);
  }
  const heard = receiver.markOf(room.id.uuid);
  await database.query({ text: 'UPDATE outbox_heads SET n = n - 3' });
  await using restored = await openHouse({ receiver, database, incarnation: 2 });
  const again = toHex(await send(restored, alice, room, 'after the restore'));
  await quiet(restored);
  expect(received(restored, bob).at(-1)).toBe(again);
  expect(receiver.markOf(room.id.uuid)).toEqual({ incarnation: 2, n: heard.n - 2n });
  expect(receiver.gaps).toEqual([]);
});

test('a group that gets nowhere does not hold up the others', async () => {
  const receiver = new TestReceiver();
  // One row a batch: what is stuck would fill each.
  await using house = await openHouse({ receiver, dispatch: { batchEventsMax: 1 } });
  const rooms: { room: Room; alice: Person; bob: Person }[] = [];
  for (let at = 0; at < 20; at++) {
    const [alice, bob] = [await person('alice'), await person('bob')];
    const room = await found(house, alice);
    await commit(house, alice, room, { add: [bob] });
    rooms.push({ room, alice, bob });
  }
  await quiet(house);
  const [stuck = none(), ...others] = rooms;
  receiver.stuck.add(stuck.room.id.uuid);
  await send(house, stuck.alice, stuck.room, 'stuck');
  for (const { room, alice } of others) await send(house, alice, room, 'hello');
  while (others.some(({ bob }) => received(house, bob).length < 2)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  receiver.stuck.clear();
  await quiet(house);
  expect(received(house, stuck.bob)).toHaveLength(2);
});

function none(): never {
  throw new Error('there is one');
}
