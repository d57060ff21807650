// Random schedules, the same in each run: the gateway of A is struck at any step of its work, shares it with another one, and what
// is beyond it loses, repeats and delays. Everything arrives, once and in order; where something was lost for good, a gap tells so.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Domain, type GroupId, printId } from '@roost/core/ids';
import { TestClock } from '@roost/testing/clock';

import { until } from '@roost/testing/until';
import { freePort, HOMES, openHome } from '../homeserver.fixture.ts';
import { putListing } from '../store/policy.ts';
import type { FaultPoint } from './faults.ts';
import { away, TestHub, TestQueues } from './hub.fixture.ts';

const [A, B] = HOMES as [Domain, Domain];
const TIMING = { backoffFirstMs: 2, backoffLastMs: 40, deniedMs: 1_000, leaseMs: 400 };
const clock = new TestClock();
let a: Awaited<ReturnType<typeof openHome>>;
let b: Awaited<ReturnType<typeof openHome>>;
let other: Awaited<ReturnType<typeof a.openReplica>>;
let hub: TestHub;
let queues: TestQueues;
let served: { close(): Promise<void> };
let roll: () => number;
let strikes: Map<FaultPoint, number>;
let isFine = true;

/** Numbers from 0 to 1 that are the same in each run. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const faults = (point: FaultPoint): void => {
  if (isFine || roll() > 0.2) return;
  strikes.set(point, (strikes.get(point) ?? 0) + 1);
  throw new Error('killed');
};

beforeAll(async () => {
  const port = await freePort('127.0.0.2');
  a = await openHome(A, clock, port, { timing: TIMING, replica: 'one', faults });
  b = await openHome(B, clock, port);
  other = await a.openReplica({ timing: TIMING, replica: 'two', faults });
  for (const [home, domain] of [
    [a, B],
    [b, A],
  ] as const) {
    const listing = { domain, kind: 'allowed' as const, endpoint: '', note: '', sinceMs: 0 };
    await putListing(home.database, listing);
  }
});
afterAll(async () => {
  await other.close();
  await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
});
beforeEach(() => {
  hub = new TestHub(A, B, a.transportKey);
  queues = new TestQueues(b.transportKey);
  queues.before = async () => (!isFine && roll() < 0.1 ? away() : undefined);
  // It is stored, and nobody hears so.
  queues.after = async () => (!isFine && roll() < 0.15 ? away() : undefined);
  served = queues.serve(b.bus);
  strikes = new Map();
  isFine = false;
});
afterEach(async () => {
  isFine = true;
  await served.close();
});

/** By either replica, or by both at once, as often as it takes. */
async function carry(rowsMax: number): Promise<void> {
  const buses = [a.gateway.federationBus, other.federationBus];
  const chosen = roll() < 0.3 ? buses : [buses[roll() < 0.5 ? 0 : 1] ?? a.gateway.federationBus];
  await Promise.allSettled(chosen.map(async (bus) => await hub.carry(bus, rowsMax)));
  // The other half has its turn.
  await new Promise((resolve) => setTimeout(resolve, roll() * 20));
}

async function settle(groups: readonly GroupId[]): Promise<void> {
  isFine = true;
  await hub.carryAll(a.gateway.federationBus);
  const text = 'SELECT FROM outbox LIMIT 1';
  await until(async () => (await a.database.query({ text })).length === 0);
  for (const group of groups) expect(heardOf(group).at(-1)).toBe(saidOf(group).at(-1));
}

const heardOf = (group: GroupId) => queues.heardOf(group);
const saidOf = (group: GroupId) => hub.said.get(printId(group)) ?? [];

test('struck anywhere, with everything lost, repeated and delayed, all arrives once and in order', async () => {
  roll = dice(5);
  const groups = [1, 2, 3, 4, 5].map((n) => hub.groupOf(n));
  // However fast this goes, each step is struck.
  for (let round = 0; round < 40 || strikes.size < 4; round++) {
    expect(round).toBeLessThan(5_000);
    for (const group of groups) {
      for (let more = roll() * 3; more > 1; more--) hub.say(group, `${round}.${more.toFixed(3)}`);
    }
    await carry(1 + Math.floor(roll() * 6));
  }
  await settle(groups);
  for (const group of groups) expect(heardOf(group)).toEqual(saidOf(group));
  expect([...strikes.keys()].toSorted()).toEqual([
    ...['receive.stored', 'send.answered', 'send.deleted', 'send.read'],
  ]);
});

test('with either end restored now and then, nothing comes twice or out of order, and no loss is hidden', async () => {
  roll = dice(11);
  const groups = [11, 12, 13].map((n) => hub.groupOf(n));
  let [marks, heard] = [new Map(queues.marks), new Map(queues.heard)];
  for (let round = 0; round < 40; round++) {
    for (const group of groups) hub.say(group, `${round}`);
    await carry(1 + Math.floor(roll() * 4));
    const luck = roll();
    if (luck < 0.1) [marks, heard] = [new Map(queues.marks), new Map(queues.heard)];
    else if (luck < 0.15) restore(queues.marks, marks, queues.heard, heard);
    else if (luck < 0.2) hub.incarnation++;
  }
  // Once for certain, when everything had arrived. A last word reveals what was lost before it.
  await settle(groups);
  [marks, heard] = [new Map(queues.marks), new Map(queues.heard)];
  for (const group of groups) hub.say(group, 'lost');
  await settle(groups);
  restore(queues.marks, marks, queues.heard, heard);
  for (const group of groups) hub.say(group, 'last');
  await settle(groups);
  for (const group of groups) expect(heardOf(group).slice(-2)).toEqual(['-', 'last']);
  for (const group of groups) {
    const said = saidOf(group);
    const places = heardOf(group).map((text) => (text === '-' ? -1 : said.indexOf(text)));
    let last = -1;
    for (const [at, place] of places.entries()) {
      if (place === -1) continue;
      expect(place).toBeGreaterThan(last);
      if (place !== last + 1) expect(places[at - 1]).toBe(-1);
      last = place;
    }
  }
});

/** The QS as it was at its backup. */
function restore<K, V, W>(marks: Map<K, V>, to: Map<K, V>, heard: Map<K, W>, was: Map<K, W>): void {
  marks.clear();
  for (const [name, mark] of to) marks.set(name, mark);
  heard.clear();
  for (const [name, those] of was) heard.set(name, those);
}
