// What a hub at A has for users of B gets there over TLS, by the outbox of A's gateway, whatever happens on the way.
import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals';
import { HANDLE_BYTES } from '@roost/bus/frames';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Domain, type GroupId, printId } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import {
  FederationAdminServiceDefinition,
  FederationMode,
  ListingKind,
} from '@roost/proto/roost/federation/v1/admin';
import { clientOf } from '@roost/rpc/call';
import { localTransport } from '@roost/rpc/local';
import { TestClock } from '@roost/testing/clock';

import { until } from '@roost/testing/until';
import { freePort, type HomeOptions, HOMES, openHome } from '../homeserver.fixture.ts';
import { type Kind, putListing } from '../store/policy.ts';
import { away, HANDLE, TestHub, TestQueues } from './hub.fixture.ts';
import { outboxDefaults } from './outbox.ts';
import { HEADS_MS } from './taking.ts';
import { tidyOutbox } from './upkeep.ts';

const [A, B, C] = HOMES as [Domain, Domain, Domain];
const QUICK = {
  ...{ backoffFirstMs: 10, backoffLastMs: 80, deniedMs: 600_000, leaseMs: 2_000, measureMs: 50 },
};
/** Who fails once is not tried again by itself within a test. */
const SLOW = { ...QUICK, backoffFirstMs: 600_000, backoffLastMs: 600_000 };
type Home = Awaited<ReturnType<typeof openHome>>;

let clock: TestClock;
let wellKnownPort: number;
let stack: AsyncDisposableStack;
/** For all tests that need nothing else. */
const shared = new AsyncDisposableStack();
let pair: Promise<Pair> | undefined;
let a: Home;
let b: Home;
let hub: TestHub;
let queues: TestQueues;

afterAll(async () => {
  await shared.disposeAsync();
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

interface Pair {
  readonly homes: readonly [Home, Home];
  readonly clock: TestClock;
  readonly wellKnownPort: number;
}

async function openPair(options: HomeOptions, on: AsyncDisposableStack): Promise<Pair> {
  const [time, port] = [new TestClock(), await freePort('127.0.0.2')];
  const homes = await Promise.all([
    openHome(A, time, port, { timing: QUICK, replica: 'a', ...options }),
    openHome(B, time, port, { timing: QUICK }),
  ]);
  for (const home of homes) on.use(home);
  await Promise.all([list(homes[0], B), list(homes[1], A)]);
  return { homes, clock: time, wellKnownPort: port };
}

/** With groups that no other test has; where nothing is asked for, with homeservers that others have too. */
async function open(options?: HomeOptions): Promise<void> {
  const opened = options === undefined ? (pair ??= openPair({}, shared)) : openPair(options, stack);
  ({ clock, wellKnownPort } = await opened);
  [a, b] = (await opened).homes;
  hub = new TestHub(A, B, a.transportKey);
  queues = new TestQueues(b.transportKey);
  const served = queues.serve(b.bus);
  stack.defer(async () => await served.close());
}

const carry = async (of = hub) => await of.carryAll(a.gateway.federationBus);
const saidOf = (groupId: GroupId, of = hub) => of.said.get(printId(groupId)) ?? [];
const hasAll = (groupId: GroupId) => queues.heardOf(groupId).at(-1) === saidOf(groupId).at(-1);
const arrive = async (...groups: readonly GroupId[]) =>
  await until(async () => groups.every(hasAll) && (await waiting()) === 0);
/** Where a failure would keep it waiting for longer than a test lasts. */
const arriveAtLast = async (group: GroupId) => {
  let askedAtMs = performance.now();
  await until(async () => {
    if (hasAll(group) && (await waiting()) === 0) return true;
    if (performance.now() - askedAtMs < 500) return false;
    askedAtMs = performance.now();
    await admin().retryPeer({ domain: B });
    return false;
  });
};
const waiting = async (): Promise<number> => {
  const text = 'SELECT count(*)::integer AS count FROM outbox';
  return (await a.database.query<{ count: number }>({ text }))[0]?.count ?? 0;
};
const failures = async (): Promise<number> => {
  const text = 'SELECT failures FROM lanes';
  return (await a.database.query<{ failures: number }>({ text }))[0]?.failures ?? 0;
};
const admin = () =>
  clientOf(FederationAdminServiceDefinition, localTransport(a.gateway.bindings, 'operator'));
const say = (group: GroupId, count: number, from = 0): void => {
  for (let at = from; at < from + count; at++) hub.say(group, `message ${at}`);
};

test('what is said arrives, once and in order, several groups a call, and nothing of it stays', async () => {
  await open();
  const groups = [1, 2, 3].map((n) => hub.groupOf(n));
  for (const group of groups) say(group, 70);
  await carry();
  await arrive(...groups);
  for (const group of groups) expect(queues.heardOf(group)).toEqual(saidOf(group));
});

test('a peer that was away for long gets everything, in order and once, when it is back', async () => {
  await open();
  const groups = [1, 2, 3, 4].map((n) => hub.groupOf(n));
  for (const group of groups) say(group, 3);
  await carry();
  await arrive(...groups);
  await b.goDown();
  for (const group of groups) say(group, 30, 3);
  await carry();
  await until(async () => (await failures()) >= 6);
  expect(await waiting()).toBe(120);
  await b.comeBack();
  await arrive(...groups);
  for (const group of groups) expect(queues.heardOf(group)).toEqual(saidOf(group));
  expect(await failures()).toBe(0);
});

test('a pause, however long, ends at once when the peer says something', async () => {
  await open({ timing: SLOW });
  const [group, back] = [hub.groupOf(1), new TestHub(B, A, b.transportKey)];
  new TestQueues(a.transportKey).serve(a.bus);
  await b.goDown();
  say(group, 2);
  await carry();
  await until(async () => (await failures()) > 0);
  await b.comeBack();
  // Nothing would happen for ten minutes.
  back.say(back.groupOf(9), 'hello');
  await back.carryAll(b.gateway.federationBus);
  await arrive(group);
  expect(queues.heardOf(group)).toEqual(saidOf(group));
});

test('after five failures the breaker is open: one delivery is tried at a time, and all when that went well', async () => {
  await open();
  let isThere = false;
  queues.before = async () => (isThere ? undefined : away());
  const groups = Array.from({ length: 10 }, (_, n) => hub.groupOf(n));
  for (const group of groups) say(group, 3);
  await carry();
  await until(async () => (await failures()) >= 5);
  const [failed, tried] = [await failures(), b.taken.length];
  await until(async () => (await failures()) >= failed + 4);
  const times = b.taken.length - tried;
  // What was under way is in one of these numbers or in the other.
  expect(times).toBeLessThanOrEqual((await failures()) - failed + 2);
  isThere = true;
  await arrive(...groups);
  for (const group of groups) expect(queues.heardOf(group)).toEqual(saidOf(group));
  expect(await failures()).toBe(0);
});

test('a destination that our policy keeps out waits without failing, and goes on when it is let in', async () => {
  await open();
  const group = hub.groupOf(1);
  await list(a, B, 'blocked');
  say(group, 5);
  await carry();
  const trouble = { text: 'SELECT failures, trouble FROM lanes' };
  await until(async () => (await a.database.query(trouble)).length === 1);
  expect(await a.database.query(trouble)).toMatchObject([
    { failures: 0, trouble: 'a.example does not exchange messages with b.example' },
  ]);
  expect(queues.heardOf(group)).toEqual([]);
  await admin().setListing({
    listing: { domain: B, kind: ListingKind.ALLOWED, endpoint: '', note: '', sinceMs: 0n },
  });
  await arrive(group);
  expect(queues.heardOf(group)).toEqual(saidOf(group));
  await until(async () => (await a.database.query(trouble)).length === 0);
  expect((await admin().getPolicy({})).mode).toBe(FederationMode.ALLOWLIST);
});

test('a peer that keeps us out is a peer that is away: what is for it waits', async () => {
  await open();
  await list(b, A, 'blocked');
  say(hub.groupOf(1), 2);
  await carry();
  await until(async () => (await failures()) >= 2);
  expect(await a.database.query({ text: 'SELECT FROM dead_letters' })).toEqual([]);
  await list(b, A);
  await arrive(hub.groupOf(1));
});

test('a slow peer does not delay another', async () => {
  await open();
  const c = stack.use(await openHome(C, clock, wellKnownPort));
  await Promise.all([list(a, C), list(c, A)]);
  const slow = new TestQueues(c.transportKey);
  const hanging = Promise.withResolvers<void>();
  let reached = 0;
  slow.before = async () => {
    reached++;
    await hanging.promise;
  };
  slow.serve(c.bus);
  const toC = new TestHub(A, C, a.transportKey);
  const groups = [1, 2, 3, 4].map((n) => hub.groupOf(n));
  for (const group of groups) toC.say(group, 'hello');
  await carry(toC);
  await until(() => reached > 0);
  // Those who wait for C have their part of it meanwhile.
  for (const group of groups) say(group, 10);
  await carry();
  await until(() => groups.every(hasAll));
  for (const group of groups) toC.say(group, 'are you there?');
  await carry(toC);
  expect(groups.flatMap((group) => slow.heardOf(group))).toEqual([]);
  hanging.resolve();
  await until(async () => (await waiting()) === 0);
  for (const group of groups) expect(slow.heardOf(group)).toEqual(['hello', 'are you there?']);
});

test('an event that a peer cannot take does not block: what comes after it arrives, behind a gap', async () => {
  await open();
  const groups = [1, 2, 3, 4, 5, 6].map((n) => hub.groupOf(n));
  const [bad, torn] = groups as [GroupId, GroupId];
  // Whatever comes in one batch with it is refused too.
  queues.before = async ({ events }) => {
    const isBad = events.some(
      ({ groupId, number, kind }) =>
        kind === 'event' && printId(groupId) === printId(bad) && [4n, 12n].includes(number.n),
    );
    if (isBad) throw new Failure('MALFORMED', 'this cannot be read');
  };
  for (const group of groups) {
    for (let at = 1; at <= 12; at++) {
      const isTorn = group === torn && at === 1;
      hub.say(group, `message ${at}`, isTorn ? { sealed: Uint8Array.of(1, 2, 3) } : {});
    }
  }
  await carry();
  await arrive(...groups.slice(1));
  const withGaps = (...missing: readonly number[]) =>
    Array.from({ length: 12 }, (_, at) => (missing.includes(at + 1) ? '-' : `message ${at + 1}`));
  expect(queues.heardOf(bad)).toEqual(withGaps(4, 12));
  expect(queues.heardOf(torn)).toEqual(withGaps(1));
  for (const group of groups.slice(2)) expect(queues.heardOf(group)).toEqual(withGaps());
  const { letters } = await admin().listDeadLetters({ domain: B, after: 0n });
  expect(letters.map(({ domain, reason }) => [domain, reason])).toEqual([
    [B, 'MALFORMED'],
    [B, 'MALFORMED'],
    [B, 'MALFORMED'],
  ]);
  expect(await failures()).toBe(0);
});

test('a group that a peer does not take now waits by itself, and the others flow', async () => {
  await open();
  const groups = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => hub.groupOf(n));
  const [shy] = groups as [GroupId];
  let isShy = true;
  queues.before = async ({ events }) => {
    const isMeant = events.some(({ groupId }) => printId(groupId) === printId(shy));
    if (isShy && isMeant) away();
  };
  for (const group of groups) say(group, 5);
  await carry();
  // Those of the same partition wait with it until they are tried without it.
  await until(() => groups.filter(hasAll).length >= groups.length - 2);
  expect(queues.heardOf(shy)).toEqual([]);
  isShy = false;
  await arrive(...groups);
  for (const group of groups) expect(queues.heardOf(group)).toEqual(saidOf(group));
});

test('what waited for too many days is given up, and the peer hears of a gap, then of what came later', async () => {
  // Directories are good for as long as this takes.
  await open({ outbox: { ...outboxDefaults, retryDays: 0.5 }, timing: SLOW });
  const group = hub.groupOf(1);
  say(group, 2);
  await carry();
  await arriveAtLast(group);
  await b.goDown();
  say(group, 300, 2);
  await carry();
  await until(async () => (await failures()) > 0);
  clock.advance(0.3 * DAY_MS);
  say(group, 3, 302);
  await carry();
  clock.advance(0.3 * DAY_MS);
  const buried: [string, number][] = [];
  const events = {
    buried: (reason: string, count: number) => void buried.push([reason, count]),
    troubled: () => undefined,
  };
  await tidyOutbox({ database: a.database, clock, events }, 0.5);
  expect(buried.reduce((sum, [, count]) => sum + count, 0)).toBe(300);
  // One is left in the place of all that is gone; nobody keeps what was in them.
  expect(await waiting()).toBeLessThanOrEqual(4);
  const kept =
    'SELECT count(*)::integer AS count, max(octet_length(sealed)) AS most FROM dead_letters';
  expect(await a.database.query({ text: kept })).toEqual([{ count: 300, most: 0 }]);
  await b.comeBack();
  await arriveAtLast(group);
  expect(queues.heardOf(group)).toEqual([
    ...['message 0', 'message 1', '-'],
    ...['message 302', 'message 303', 'message 304'],
  ]);
});

test('a peer that was restored hears of a gap, with the next event and of a quiet group within a day', async () => {
  await open();
  const [talking, quiet] = [hub.groupOf(1), hub.groupOf(2)];
  for (const group of [talking, quiet]) say(group, 2);
  await carry();
  await arrive(talking, quiet);
  const backup = new Map(queues.marks);
  for (const group of [talking, quiet]) say(group, 2, 2);
  await carry();
  await arrive(talking, quiet);
  for (const [name, mark] of backup) queues.marks.set(name, mark);
  say(talking, 1, 4);
  await carry();
  await arrive(talking);
  expect(queues.heardOf(talking).slice(-2)).toEqual(['-', 'message 4']);
  await hub.tellHeads(a.gateway.federationBus);
  expect(await waiting()).toBe(0);
  await a.database.query({
    text: 'UPDATE marks SET told_ms = $1',
    values: [clock.now() - HEADS_MS],
  });
  await hub.tellHeads(a.gateway.federationBus);
  await until(() => queues.heardOf(quiet).at(-1) === '-');
  await until(async () => (await waiting()) === 0);
  expect(queues.marks.get(printId(quiet))?.n).toBe(4n);
});

test('a gateway that was restored goes on: what it lost is told as a gap, and nothing comes twice', async () => {
  await open({ timing: SLOW });
  const group = hub.groupOf(1);
  say(group, 3);
  await carry();
  await arriveAtLast(group);
  const read = 'SELECT tag, incarnation, n FROM marks';
  const [mark] = await a.database.query<{ tag: Uint8Array; n: bigint }>({ text: read });
  await b.goDown();
  say(group, 3, 3);
  await carry();
  await until(async () => (await failures()) > 0);
  // The backup was made before these three came.
  await a.database.query({ text: 'DELETE FROM outbox' });
  await a.database.query({ text: 'UPDATE marks SET n = $1', values: [mark?.n] });
  await b.comeBack();
  say(group, 1, 6);
  await carry();
  await arriveAtLast(group);
  expect(queues.heardOf(group)).toEqual([...saidOf(group).slice(0, 3), '-', 'message 6']);
});

test('a hub that was restored goes on under its next incarnation', async () => {
  await open();
  const group = hub.groupOf(1);
  say(group, 5);
  await carry();
  await arrive(group);
  const state = hub.rows.get(printId(group));
  if (state !== undefined) state.head = { incarnation: 1, n: 2n };
  hub.incarnation = 2;
  say(group, 1, 5);
  await carry();
  await arrive(group);
  expect(queues.heardOf(group)).toEqual(saidOf(group));
  expect(queues.marks.get(printId(group))).toEqual({ incarnation: 2, n: 3n });
});

test('what is more than may wait for a peer stays with the DS, which hears no mark', async () => {
  await open({ outbox: { ...outboxDefaults, rowsMax: 20 } });
  const group = hub.groupOf(1);
  await b.goDown();
  say(group, 60);
  // What was added while it was measured counts twice until the next look: it seems to be full for a moment.
  await until(async () => {
    await hub.carry(a.gateway.federationBus, 10);
    return (await waiting()) === 20;
  });
  for (let round = 0; round < 4; round++) await hub.carry(a.gateway.federationBus, 10);
  expect(await waiting()).toBe(20);
  expect(hub.rows.get(printId(group))?.rows).toHaveLength(40);
  const { lanes } = await admin().listOutbox({});
  expect(lanes).toMatchObject([{ domain: B, events: 20n }]);
  await b.comeBack();
  await until(async () => {
    await hub.carry(a.gateway.federationBus, 10);
    return hasAll(group);
  });
  expect(queues.heardOf(group)).toEqual(saidOf(group));
});

test('whose queue is gone gets back to the DS, if it was meant at all, and is told again', async () => {
  await open();
  const group = hub.groupOf(1);
  const stranger = new Uint8Array(HANDLE_BYTES).fill(9);
  queues.gone.add(toHex(HANDLE));
  // B says it of somebody that nothing was sent to, too: of a member at C, maybe.
  queues.claims.push({ groupId: group, handle: stranger });
  say(group, 1);
  await carry();
  await arrive(group);
  expect(hub.gone).toEqual([]);
  for (let round = 1; round <= 2; round++) {
    say(group, 1, round);
    await carry();
    await arrive(group);
    expect(hub.gone).toEqual(
      Array.from({ length: round }, () => ({ groupId: group, handle: HANDLE })),
    );
  }
  const [row] = await a.database.query<{ sealed: Uint8Array }>({ text: 'SELECT sealed FROM gone' });
  expect(toHex(row?.sealed ?? new Uint8Array(0))).not.toContain(toHex(HANDLE));
  const events = { buried: () => undefined, troubled: () => undefined };
  const later = { now: () => clock.now() + 2 * DAY_MS };
  await tidyOutbox({ database: a.database, clock: later, events }, outboxDefaults.retryDays);
  expect(await a.database.query({ text: 'SELECT FROM gone' })).toEqual([]);
});

test('a batch that is not of our own hub, or not for another homeserver, is not taken', async () => {
  await open();
  const bus = a.gateway.federationBus;
  for (const [from, to] of [
    [B, C],
    [A, A],
  ] as const) {
    const other = new TestHub(from, to, a.transportKey);
    other.say(other.groupOf(1), 'hello');
    await expect(other.carry(bus)).rejects.toMatchObject({ reason: 'FEDERATION_DENIED' });
  }
  expect(await waiting()).toBe(0);
});
