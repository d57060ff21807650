import { afterEach, expect, test } from '@jest/globals';
import { MemoryBell } from '@roost/bus/memory';
import type { RequestOptions } from '@roost/bus/ports';
import { createLog } from '@roost/service/log';
import { freshDatabase, type FreshDatabase } from '@roost/testing/postgres';
import { until } from '@roost/testing/until';
import { dsEvents } from './events.ts';
import { Leases } from './leases.ts';
import { migrations } from './service.ts';
import { commit, send, together } from './testing/deeds.fixture.ts';
import { MortalHouse } from './testing/mortal-house.fixture.ts';
import { sleep } from '@roost/core/time';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House, HouseOptions } from './testing/house.fixture.ts';
import { TestReceiver } from './testing/receiver.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

const LEASE_MS = 800;
/** So long that what happens sooner does not happen by a lease's end, on a busy machine either. */
const LONG_MS = 6_000;
const ALL = Array.from({ length: 16 }, (_, partition) => partition);
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

function leasesOf(database: FreshDatabase, bell: MemoryBell, replica: string): Leases {
  const events = dsEvents(createLog('ds', 'silent'));
  const options = { replica, leaseMs: LONG_MS, gained: () => {} };
  const leases = new Leases({ database, bell, events }, options);
  stack.defer(async () => await leases.close());
  return leases;
}

const heldBy = (leases: Leases): number[] => ALL.filter((partition) => leases.holds(partition));

test('replicas share the partitions, each has one holder, and who goes leaves its part at once', async () => {
  const database = stack.use(await freshDatabase(migrations));
  const bell = new MemoryBell();
  const one = leasesOf(database, bell, 'one');
  await until(() => heldBy(one).length === 16);
  const two = leasesOf(database, bell, 'two');
  await until(() => heldBy(one).length === 8 && heldBy(two).length === 8);
  expect([...heldBy(one), ...heldBy(two)].toSorted((a, b) => a - b)).toEqual(ALL);
  const three = leasesOf(database, bell, 'three');
  await until(() => [one, two, three].every((each) => heldBy(each).length >= 4));
  await three.close();
  await one.close();
  expect(await until(() => heldBy(two).length === 16)).toBeLessThan(LONG_MS / 2);
  await two.close();
  expect(await database.query({ text: 'SELECT FROM leases' })).toEqual([]);
});

test('what a dead replica held is taken when its leases have run out, by the clock of the database', async () => {
  const database = stack.use(await freshDatabase(migrations));
  const mute = { ring: () => {}, listen: () => ({ close: () => {} }), isHeard: async () => false };
  // It holds everything, and says nothing any more.
  const began = performance.now();
  await database.query({
    text: `INSERT INTO leases SELECT n, 'dead', clock_timestamp() + interval '500 milliseconds'
             FROM generate_series(0, 15) AS n`,
  });
  const events = dsEvents(createLog('ds', 'silent'));
  const gained: number[][] = [];
  const alive = new Leases(
    { database, bell: mute, events },
    {
      replica: 'alive',
      leaseMs: LEASE_MS,
      gained: (partitions) => void gained.push([...partitions]),
    },
  );
  stack.defer(async () => await alive.close());
  await until(() => heldBy(alive).length === 16);
  expect(performance.now() - began).toBeGreaterThan(490);
  expect(gained.flat().toSorted((a, b) => a - b)).toEqual(ALL);
  await alive.close();
});

/** Who carried what, by the name of the house. */
class Counter extends TestReceiver {
  readonly counts: Record<string, number> = {};

  as(name: string): TestReceiver {
    const request = async (...args: [number, Uint8Array, RequestOptions]): Promise<Uint8Array> => {
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      return await this.request(...args);
    };
    return Object.assign(Object.create(this), { request });
  }
}

async function pair(options: HouseOptions = {}) {
  const database = stack.use(await freshDatabase(migrations));
  const [bell, receiver] = [new MemoryBell(), new Counter()];
  const open = async (replica: string): Promise<House> =>
    stack.use(
      await openHouse({
        ...{ database, bell, replica, receiver: receiver.as(replica) },
        dispatch: { leaseMs: LEASE_MS, pollMs: 60_000, ...options.dispatch },
      }),
    );
  return { database, receiver, one: await open('one'), two: await open('two') };
}

test('what one replica accepts another carries at once, rung for and not looked for', async () => {
  const { receiver, one } = await pair();
  // Both have their part by now.
  await new Promise((resolve) => setTimeout(resolve, LEASE_MS / 2));
  const took: number[] = [];
  // Which partition a group is in is chance: both come to carry some in the end.
  const isShared = (): boolean => Object.keys(receiver.counts).length === 2;
  for (let group = 0; group < 8 || (!isShared() && group < 64); group++) {
    const { room, people } = await together(one, `ann${group}`, `ben${group}`);
    const [ann, ben] = people as [Person, Person];
    await quiet(one);
    const began = performance.now();
    await send(one, ann, room, 'hello');
    await until(() => receiver.queueOf(ben.handle).some(({ kind }) => kind === 'application'));
    took.push(performance.now() - began);
  }
  // All was accepted by one, and two carried what it holds.
  expect(Object.keys(receiver.counts).toSorted()).toEqual(['one', 'two']);
  expect(took.toSorted((a, b) => a - b)[4]).toBeLessThan(2_000);
});

/** A database of which one can await that the outbox was weighed anew: what went through does not count then. */
async function weighedDatabase() {
  const database = stack.use(await freshDatabase(migrations));
  let looks = 0;
  const { query } = database;
  const counted: typeof query = async (asked) => {
    const rows = await query.call(database, asked);
    if (asked.name === 'ds_weigh_outbox') looks++;
    return rows as never[];
  };
  const weighed = async (): Promise<void> => {
    // The look that is under way may have begun before.
    const after = looks + 2;
    await until(() => looks >= after);
  };
  return { database: Object.assign(database, { query: counted }), weighed };
}

test('beyond its bound the outbox takes nothing more, loses nothing, and takes again when it drains', async () => {
  const receiver = new TestReceiver();
  const limits = { outboxRowsMax: 12 };
  const { database, weighed } = await weighedDatabase();
  const house = stack.use(await openHouse({ database, receiver, limits }));
  const { room, people } = await together(house, 'ann', 'ben');
  const [ann, ben] = people as [Person, Person];
  await quiet(house);
  await weighed();
  receiver.isAway = true;
  let accepted = 0;
  let refusal: unknown;
  while (refusal === undefined) {
    try {
      await send(house, ann, room, `message ${accepted}`);
      accepted++;
    } catch (error) {
      refusal = error;
    }
  }
  expect(refusal).toMatchObject({ reason: 'RATE_LIMITED', facts: { retryAfterMs: 5_000 } });
  expect(accepted).toBe(12);
  await expect(commit(house, ann, room)).rejects.toMatchObject({ reason: 'RATE_LIMITED' });
  receiver.isAway = false;
  await quiet(house);
  for (let isTaken = false; !isTaken;) {
    isTaken = await send(house, ann, room, 'at last').then(
      () => true,
      () => false,
    );
    if (!isTaken) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await quiet(house);
  const heard = receiver.queueOf(ben.handle).filter(({ kind }) => kind === 'application');
  expect(heard).toHaveLength(13);
});

test('the outbox is bounded in bytes too', async () => {
  const receiver = new TestReceiver();
  const { database, weighed } = await weighedDatabase();
  const limits = { outboxBytesMax: 20_000 };
  const house = stack.use(await openHouse({ database, receiver, limits }));
  const { room, people } = await together(house, 'ann', 'ben');
  const [ann] = people as [Person, Person];
  await quiet(house);
  await weighed();
  receiver.isAway = true;
  await send(house, ann, room, 'x'.repeat(19_000));
  await send(house, ann, room, 'y'.repeat(19_000));
  await expect(send(house, ann, room, 'z')).rejects.toMatchObject({ reason: 'RATE_LIMITED' });
  receiver.isAway = false;
  await quiet(house);
});

test('who freezes with a batch in hand is relieved in seconds, and does no harm when it wakes', async () => {
  const mortal = stack.use(await MortalHouse.open());
  const { database, receiver } = mortal;
  await mortal.start(['dispatch.read'], 0, 'SIGSTOP');
  const dispatch = { leaseMs: LEASE_MS };
  const live = stack.use(await openHouse({ database, receiver, replica: 'live', dispatch }));
  const scenes: { room: Room; ann: Person; ben: Person }[] = [];
  let isFrozen = false;
  const freezing = mortal.frozen().then(() => true);
  // As many as it takes until one is of a partition that the mortal one holds.
  for (let at = 0; at < 6 || !isFrozen; at++) {
    expect(at).toBeLessThan(60);
    const { room, people } = await together(live, `ann${at}`, `ben${at}`);
    const [ann, ben] = people as [Person, Person];
    scenes.push({ room, ann, ben });
    await send(live, ann, room, 'one');
    isFrozen = await Promise.race([freezing, sleep(100).then(() => false)]);
  }
  const began = performance.now();
  for (const { ann, room } of scenes) await send(live, ann, room, 'two');
  await quiet(live);
  expect(performance.now() - began).toBeLessThan(20_000);
  const heard = () => scenes.map(({ ben }) => receiver.queueOf(ben.handle).map(({ kind }) => kind));
  const before = heard();
  mortal.thaw();
  for (const { ann, room } of scenes) await send(live, ann, room, 'three');
  await quiet(live);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(heard()).toEqual(before.map((kinds) => [...kinds, 'application']));
  expect(before.map((kinds) => kinds.filter((kind) => kind === 'application').length)).toEqual(
    scenes.map(() => 2),
  );
  expect(receiver.gaps).toEqual([]);
  await live[Symbol.asyncDispose]();
});
