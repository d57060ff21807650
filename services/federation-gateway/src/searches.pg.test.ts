// How often a homeserver is looked for, and how long somebody waits for it.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Domain, parseDomain } from '@roost/core/ids';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '@roost/core/time';
import { TestClock } from '@roost/testing/clock';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';
import { DISCOVERY_FLAWS, isPassing, PeerUnreachable } from './discovery/unreachable.ts';
import { Searches } from './searches.ts';
import type { StoredPeer } from './store/peers.ts';

const peer = parseDomain('b.example');
const nothing = new Uint8Array(0);
/** Longer than any test waits. */
const LONG_MS = 60 * SECOND_MS;
let database: FreshDatabase;
let clock: TestClock;
let fetches: number;
let begun: PromiseWithResolvers<void>;
let publish: (signal: AbortSignal | undefined) => Promise<Uint8Array>;
let kept: StoredPeer | undefined;
let searched: unknown[];

beforeEach(async () => {
  database = await freshDatabase(new URL('../migrations/', import.meta.url));
  clock = new TestClock();
  [fetches, kept, searched] = [0, undefined, []];
  begun = Promise.withResolvers();
  publish = async () => nothing;
});
afterEach(async () => await database[Symbol.asyncDispose]());

function replica(): Searches {
  return new Searches({
    ...{ database, clock, findKept: async () => kept },
    events: { searched: (error) => searched.push(error) },
    fetchDocument: async (_: Domain, signal) => {
      fetches++;
      begun.resolve();
      return await publish(signal);
    },
    keep: async () => {
      const trust = { serial: 1n, contentHash: nothing, keys: [] };
      const readAtMs = clock.now();
      const times = { firstMetMs: readAtMs, readAtMs, reliedUntilMs: readAtMs + HOUR_MS };
      return (kept = { ...times, signed: nothing, trust });
    },
  });
}

const failing = (flaw: PeerUnreachable['flaw']) => async () => {
  throw new PeerUnreachable(flaw, `${flaw} is wrong`);
};
const notYet = (retryAfterMs: number) =>
  expect.objectContaining({ reason: 'UNAVAILABLE', facts: { retryAfterMs } });

/** Begins a look that nobody waits for. */
async function lookedForBy(searches: Searches): Promise<void> {
  await expect(searches.findAnywhere(peer, 10)).rejects.toEqual(notYet(2 * SECOND_MS));
  await begun.promise;
}

/** When it was asked, in seconds, by two replicas that both want it every second. */
async function askedAt(seconds: number): Promise<number[]> {
  const [replicas, asked] = [[replica(), replica()], new Array<number>()];
  for (let second = 0; second < seconds; second++) {
    for (const each of replicas) {
      const before = fetches;
      await each.find(peer, LONG_MS).catch(() => undefined);
      if (fetches > before) asked.push(second);
    }
    clock.advance(SECOND_MS);
  }
  return asked;
}

test.each(DISCOVERY_FLAWS.filter(isPassing))(
  'after its %s a homeserver is looked for again in seconds, then seldom, and from the beginning once it was found',
  async (flaw) => {
    publish = failing(flaw);
    expect(await askedAt(200)).toEqual([0, 5, 15, 35, 75, 135, 195]);
    await expect(replica().find(peer, LONG_MS)).rejects.toEqual(notYet(55 * SECOND_MS));
    clock.advance(MINUTE_MS);
    publish = async () => nothing;
    await replica().find(peer, LONG_MS);
    clock.advance(MINUTE_MS);
    publish = failing(flaw);
    expect(await askedAt(20)).toEqual([0, 5, 15]);
  },
);

test.each(DISCOVERY_FLAWS.filter((flaw) => !isPassing(flaw)))(
  'after its %s, which does not pass, a homeserver is looked for once a minute',
  async (flaw) => {
    publish = failing(flaw);
    expect(await askedAt(125)).toEqual([0, 60, 120]);
    await expect(replica().find(peer, LONG_MS)).rejects.toEqual(notYet(55 * SECOND_MS));
  },
);

test('who was found is not looked for again for a minute', async () => {
  expect(await askedAt(125)).toEqual([0, 60, 120]);
});

test('a look goes on without those who wait no longer, and what it finds is there for all', async () => {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  publish = () => promise;
  const [one, other] = [replica(), replica()];
  await lookedForBy(one);
  await expect(one.find(peer, 10)).rejects.toEqual(notYet(2 * SECOND_MS));
  await expect(other.findAnywhere(peer, 10)).rejects.toEqual(notYet(2 * SECOND_MS));
  const late = [one.findAnywhere(peer, LONG_MS), other.findAnywhere(peer, LONG_MS)];
  resolve(nothing);
  expect(await Promise.all(late)).toEqual([kept, kept]);
  expect([fetches, searched]).toEqual([1, [undefined]]);
});

test('what goes wrong with it is heard at every replica, and once nobody waits it harms nobody', async () => {
  const { promise, reject } = Promise.withResolvers<Uint8Array>();
  publish = () => promise;
  const [one, other] = [replica(), replica()];
  await lookedForBy(one);
  const elsewhere = other.findAnywhere(peer, LONG_MS);
  reject(new PeerUnreachable('time', 'it took too long'));
  await expect(elsewhere).rejects.toMatchObject({
    ...{ message: 'it took too long', facts: { retryAfterMs: 5 * SECOND_MS } },
  });
  await expect(one.find(peer, LONG_MS)).rejects.toThrow('it took too long');
  expect(fetches).toBe(1);
});

test('a replica that dies over a look holds others up for as long as a look may take', async () => {
  publish = () => new Promise(() => {});
  await lookedForBy(replica());
  publish = async () => nothing;
  clock.advance(19 * SECOND_MS);
  await expect(replica().find(peer, LONG_MS)).rejects.toEqual(notYet(2 * SECOND_MS));
  clock.advance(SECOND_MS);
  await replica().find(peer, LONG_MS);
  expect(fetches).toBe(2);
});

test('one that is closed ends what goes on, which counts for nothing: others look at once', async () => {
  publish = (signal) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new PeerUnreachable('connection', 'ended')));
    });
  const closing = replica();
  const finding = closing.find(peer, LONG_MS);
  await Promise.all([
    expect(finding).rejects.toThrow('ended'),
    begun.promise.then(async () => await closing.close()),
  ]);
  expect(searched).toEqual([]);
  publish = async () => nothing;
  await replica().find(peer, LONG_MS);
  expect([fetches, searched]).toEqual([2, [undefined]]);
});
