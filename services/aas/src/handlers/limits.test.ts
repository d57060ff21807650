import { expect, test } from '@jest/globals';
import { MemoryLimiter } from '@roost/bus/memory';
import type { Limiter } from '@roost/bus/ports';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { LimitInternalServiceDefinition, NarrowKind } from '@roost/proto/roost/tokens/v1/limits';
import { localClient } from '@roost/rpc/local';
import { bind } from '@roost/rpc/service';
import { TestClock } from '@roost/testing/clock';

import {
  FEDERATED_RATES,
  type FederatedBuckets,
  federatedBuckets,
  QUEUE_RATE_MIN,
  rampedBucket,
} from '../domain/federated-buckets.ts';
import { limitHandlers } from './limits.ts';

const bucketOf = (capacity: number) => ({ capacity, refillPerSecond: 1 });
const buckets: FederatedBuckets = {
  ...{ domain: bucketOf(160), group: bucketOf(10), queue: bucketOf(5), call: bucketOf(3) },
};
const LONG_AGO = 400 * DAY_MS;

function setUp(limiter?: Limiter) {
  const clock = new TestClock();
  const ports = { clock, limiter: limiter ?? new MemoryLimiter(clock), buckets };
  const audience = parseDomain('a.example');
  const binding = bind(LimitInternalServiceDefinition, limitHandlers(ports), {
    ...{ audience, clock, crypto },
  });
  const client = localClient(LimitInternalServiceDefinition, binding, 'federation-gateway');
  const take = async (
    kind: NarrowKind,
    tag: number,
    { cost = 1, domain = 'b.example', knownMs = LONG_AGO } = {},
  ) => {
    const narrow = [{ kind, tag: new Uint8Array(32).fill(tag), cost }];
    const firstMetMs = BigInt(clock.now() - knownMs);
    const { retryAfterMs } = await client.takeFederated({ domain, firstMetMs, narrow });
    return retryAfterMs[0];
  };
  return { clock, take, client };
}

test('one group that floods is stopped, and nothing is taken from the others of its homeserver', async () => {
  const { take, clock } = setUp();
  for (let n = 0; n < 10; n++) expect(await take(NarrowKind.GROUP, 1)).toBe(0);
  for (let n = 0; n < 1_000; n++) expect(await take(NarrowKind.GROUP, 1)).toBeGreaterThan(0);
  for (let group = 2; group <= 16; group++) {
    expect(await take(NarrowKind.GROUP, group, { cost: 10 })).toBe(0);
  }
  // Now the homeserver has had all of its own; another one has not.
  expect(await take(NarrowKind.GROUP, 17)).toBeGreaterThan(0);
  expect(await take(NarrowKind.GROUP, 1, { domain: 'c.example' })).toBe(0);
  clock.advance(2_000);
  expect(await take(NarrowKind.GROUP, 18)).toBe(0);
});

test('queues and calls have buckets of their own; a queue takes nothing from its homeserver', async () => {
  const { take } = setUp();
  const outcomes = [];
  for (let n = 0; n < 6; n++) outcomes.push((await take(NarrowKind.QUEUE, 1)) === 0);
  for (let n = 0; n < 4; n++) outcomes.push((await take(NarrowKind.CALL, 1)) === 0);
  expect(outcomes).toEqual([...[1, 1, 1, 1, 1, 0], ...[1, 1, 1, 0]].map(Boolean));
  for (let queue = 0; queue < 200; queue++) {
    expect(await take(NarrowKind.QUEUE, queue + 2, { cost: 5 })).toBe(0);
  }
});

test('a new homeserver starts with a sixteenth, which doubles every day', async () => {
  const sizes = [-1, 0, 1, 2, 3, 4, 100].map((days) => {
    return rampedBucket(buckets.domain, days * DAY_MS).capacity;
  });
  expect(sizes).toEqual([10, 10, 20, 40, 80, 160, 160]);
  expect(rampedBucket({ capacity: 2, refillPerSecond: 1 }, 0).capacity).toBe(1);
  const { take } = setUp();
  for (let group = 0; group < 10; group++) {
    expect(await take(NarrowKind.GROUP, group, { knownMs: 0 })).toBe(0);
  }
  expect(await take(NarrowKind.GROUP, 10, { knownMs: 0 })).toBeGreaterThan(0);
});

test('where nobody can count, that is said', async () => {
  const { take } = setUp({ take: async () => ({ ok: false, isAway: true }) });
  await expect(take(NarrowKind.GROUP, 1)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});

test('what cannot be counted is refused', async () => {
  const { take, client } = setUp();
  const malformed = { reason: 'MALFORMED' };
  await expect(take(NarrowKind.UNSPECIFIED, 1)).rejects.toMatchObject(malformed);
  await expect(take(NarrowKind.GROUP, 1, { cost: 0 })).rejects.toMatchObject(malformed);
  await expect(take(NarrowKind.GROUP, 1, { cost: 1_000_001 })).rejects.toMatchObject(malformed);
  await expect(take(NarrowKind.GROUP, 1, { domain: 'B' })).rejects.toMatchObject(malformed);
  const none = client.takeFederated({ domain: 'b.example', firstMetMs: 0n, narrow: [] });
  await expect(none).rejects.toMatchObject(malformed);
});

test('what the operator sets a second comes ten times at once, and a queue takes a whole batch', () => {
  const set = federatedBuckets({ ...FEDERATED_RATES, group: 7, queue: QUEUE_RATE_MIN });
  expect(set.group).toEqual({ capacity: 70, refillPerSecond: 7 });
  expect(set.domain).toEqual({ capacity: 20_000, refillPerSecond: 2_000 });
  expect(set.queue.capacity).toBeGreaterThan(64);
});
