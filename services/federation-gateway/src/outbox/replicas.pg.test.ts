// Replicas of A's gateway over one database: they share the destinations, and none of them is missed when it is gone.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Domain, type GroupId, printId } from '@roost/core/ids';
import { TestClock } from '@roost/testing/clock';

import { until } from '@roost/testing/until';
import { freePort, HOMES, openHome } from '../homeserver.fixture.ts';
import { putListing } from '../store/policy.ts';
import type { FaultPoint } from './faults.ts';
import { TestHub, TestQueues } from './hub.fixture.ts';

const [A, B, C] = HOMES as [Domain, Domain, Domain];
const TIMING = { backoffFirstMs: 20, backoffLastMs: 200, deniedMs: 1_000, leaseMs: 1_000 };
type Home = Awaited<ReturnType<typeof openHome>>;

let stack: AsyncDisposableStack;
let a: Home;
let b: Home;
let c: Home;
let other: Awaited<ReturnType<Home['openReplica']>>;
let faults: (point: FaultPoint) => Promise<void>;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  faults = async () => undefined;
  const [clock, port] = [new TestClock(), await freePort('127.0.0.2')];
  const options = { timing: TIMING, replica: 'one' };
  [a, b, c] = await Promise.all([
    openHome(A, clock, port, { ...options, faults: async (point) => await faults(point) }),
    openHome(B, clock, port),
    openHome(C, clock, port),
  ]);
  for (const home of [a, b, c]) stack.use(home);
  for (const [home, domain] of [
    ...([[a, B] as const, [a, C] as const] as const),
    ...([[b, A] as const, [c, A] as const] as const),
  ]) {
    const listing = { domain, kind: 'allowed' as const, endpoint: '', note: '', sinceMs: 0 };
    await putListing(home.database, listing);
  }
});
afterEach(async () => {
  await stack.disposeAsync();
});

function ends(home: Home, domain: Domain) {
  const hub = new TestHub(A, domain, a.transportKey);
  const queues = new TestQueues(home.transportKey);
  queues.serve(home.bus);
  return { hub, queues };
}

const holders = async (): Promise<Record<string, string>> => {
  const text = 'SELECT destination, replica FROM leases ORDER BY destination';
  const rows = await a.database.query<{ destination: string; replica: string }>({ text });
  return Object.fromEntries(rows.map(({ destination, replica }) => [destination, replica]));
};

test('they share the destinations, and who goes leaves its part to the other', async () => {
  const [toB, toC] = [ends(b, B), ends(c, C)];
  await Promise.all([b.goDown(), c.goDown()]);
  const group = toB.hub.groupOf(1);
  for (const { hub } of [toB, toC]) {
    hub.say(group, 'one');
    await hub.carryAll(a.gateway.federationBus);
  }
  await until(async () => Object.keys(await holders()).length === 2);
  other = await a.openReplica({ timing: TIMING, replica: 'two' });
  await until(async () => new Set(Object.values(await holders())).size === 2);
  await Promise.all([b.comeBack(), c.comeBack()]);
  // Each takes what the DS gives it, whoever carries it on.
  for (const { hub } of [toB, toC]) {
    hub.say(group, 'two');
    await hub.carryAll(other.federationBus);
  }
  await until(() => [toB, toC].every(({ queues }) => queues.heardOf(group).length === 2));
  await other.close();
  for (const { hub } of [toB, toC]) {
    hub.say(group, 'three');
    await hub.carryAll(a.gateway.federationBus);
  }
  const all = ['one', 'two', 'three'];
  await until(() => [toB, toC].every(({ queues }) => queues.heardOf(group).length === 3));
  for (const { queues } of [toB, toC]) expect(queues.heardOf(group)).toEqual(all);
  expect(new Set(Object.values(await holders()))).toEqual(new Set(['one']));
});

test('who freezes with something in hand is relieved, and does no harm when it wakes', async () => {
  const { hub, queues } = ends(b, B);
  const groups = [1, 2, 3].map((n) => hub.groupOf(n));
  const [thaw, frozen] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  faults = async (point) => {
    if (point !== 'send.read') return;
    frozen.resolve();
    await thaw.promise;
  };
  const say = async (text: string) => {
    for (const group of groups) hub.say(group, text);
    await hub.carryAll(a.gateway.federationBus);
  };
  await say('one');
  await frozen.promise;
  // It does not prolong its lease any more.
  await a.database.query({
    text: `UPDATE leases SET replica = 'two', expires_at = clock_timestamp() + interval '1 hour'`,
  });
  other = await a.openReplica({ timing: TIMING, replica: 'two' });
  await until(() => groups.every((group) => queues.heardOf(group).length === 1));
  await say('two');
  await until(() => groups.every((group) => queues.heardOf(group).length === 2));
  faults = async () => undefined;
  thaw.resolve();
  await say('three');
  await until(() => groups.every((group) => queues.heardOf(group).length === 3));
  await other.close();
  const heard = (group: GroupId) => queues.heard.get(printId(group));
  for (const group of groups) expect(heard(group)).toEqual(['one', 'two', 'three']);
});
