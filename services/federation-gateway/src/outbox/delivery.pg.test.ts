// What a hub at A has for users of B gets there over TLS, by the outbox of A's gateway, whatever happens on the way.
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { printId, type Domain, type GroupId } from '@roost/core/ids';
import { TestClock } from '@roost/testing/clock';

import { freePort, type HomeOptions, HOMES, openHome } from '../homeserver.fixture.ts';
import { type Kind, putListing } from '../store/policy.ts';
import { HANDLE, TestHub, TestQueues, until } from './hub.fixture.ts';

const [A, B] = HOMES as [Domain, Domain];
const TIMING = { backoffFirstMs: 20, backoffLastMs: 200, deniedMs: 60_000, leaseMs: 2_000 };
type Home = Awaited<ReturnType<typeof openHome>>;

const clock = new TestClock();
let wellKnownPort: number;
let stack: AsyncDisposableStack;
let a: Home;
let b: Home;
let hub: TestHub;
let queues: TestQueues;

beforeAll(async () => {
  wellKnownPort = await freePort('127.0.0.2');
});
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
});

async function list(home: Home, domain: Domain, kind: Kind = 'allowed'): Promise<void> {
  await putListing(home.database, { domain, kind, endpoint: '', note: '', sinceMs: 0 });
}

async function open(options: HomeOptions = {}): Promise<void> {
  const outward = { timing: TIMING, replica: 'a', ...options };
  const opened = await Promise.all([
    openHome(A, clock, wellKnownPort, outward),
    openHome(B, clock, wellKnownPort),
  ]);
  [a, b] = opened;
  for (const home of opened) stack.use(home);
  await Promise.all([list(a, B), list(b, A)]);
  hub = new TestHub(A, B, a.transportKey);
  queues = new TestQueues(b.transportKey);
  queues.serve(b.bus);
}

const carry = async () => await hub.carryAll(a.gateway.federationBus);
const allOf = (groupId: GroupId) => hub.said.get(printId(groupId)) ?? [];
const hasAll = (groupId: GroupId) =>
  queues.heardOf(groupId).filter((text) => text !== '-').at(-1) === allOf(groupId).at(-1);
const waiting = async (home = a): Promise<number> => {
  const text = 'SELECT count(*)::integer AS count FROM outbox';
  return (await home.database.query<{ count: number }>({ text }))[0]?.count ?? 0;
};

test('what is said arrives, once and in order, and nothing of it stays', async () => {
  await open();
  const groups = [1, 2, 3].map((n) => hub.groupOf(n));
  for (let at = 0; at < 100; at++) for (const group of groups) hub.say(group, `message ${at}`);
  await carry();
  await until(() => groups.every(hasAll));
  await until(async () => (await waiting()) === 0);
  for (const group of groups) expect(queues.heardOf(group)).toEqual(allOf(group));
});
