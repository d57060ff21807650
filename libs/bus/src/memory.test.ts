import { expect, test } from '@jest/globals';
import { MemoryBell, MemoryBus, MemoryLimiter } from './memory.ts';

const batch = Uint8Array.of(1);
const soon = { timeoutMs: 1_000 };

test('a batch reaches whoever serves, and its answer comes back', async () => {
  const bus = new MemoryBus();
  await expect(bus.request(0, batch, soon)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  const served = bus.serve(async (bytes) => Uint8Array.of(...bytes, 2));
  expect(await bus.request(0, batch, soon)).toEqual(Uint8Array.of(1, 2));
  await served.close();
  await expect(bus.request(0, batch, soon)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});

test('a request ends when its time is up or it is given up, and counts until it is done', async () => {
  const bus = new MemoryBus();
  const done = Promise.withResolvers<Uint8Array>();
  const served = bus.serve(async () => await done.promise);
  await expect(bus.request(0, batch, { timeoutMs: 1 })).rejects.toThrow('too long');

  const abort = new AbortController();
  const given = bus.request(0, batch, { ...soon, signal: abort.signal });
  abort.abort();
  await expect(given).rejects.toThrow('given up');

  const waiting = Array.from({ length: 254 }, () => bus.request(0, batch, soon));
  await expect(bus.request(0, batch, soon)).rejects.toThrow('too much');
  const closed = served.close();
  done.resolve(batch);
  await Promise.all([...waiting, closed]);
});

test('what the handler throws is what the sender hears', async () => {
  const bus = new MemoryBus();
  bus.serve(async () => {
    throw new Error('broken');
  });
  await expect(bus.request(0, batch, soon)).rejects.toThrow('broken');
});

test('a ring wakes those who listen to its key, until they close', async () => {
  const bell = new MemoryBell();
  const woken: string[] = [];
  const first = bell.listen('a', () => woken.push('first'));
  bell.listen('a', () => woken.push('second'));
  bell.listen('b', () => woken.push('other'));
  bell.ring('a');
  expect(woken).toEqual([]);
  await Promise.resolve();
  expect(woken).toEqual(['first', 'second']);
  first.close();
  first.close();
  bell.ring('a');
  await Promise.resolve();
  expect(woken).toEqual(['first', 'second', 'second']);
});

test('a bucket gives what it holds, refills with time, and says when to come back', async () => {
  let now = 0;
  const limiter = new MemoryLimiter({ now: () => now });
  const bucket = { capacity: 2, refillPerSecond: 4 };
  expect(await limiter.take('a', 2, bucket)).toEqual({ ok: true });
  expect(await limiter.take('a', 1, bucket)).toEqual({ ok: false, retryAfterMs: 250 });
  expect(await limiter.take('b', 1, bucket)).toEqual({ ok: true });
  now = 250;
  expect(await limiter.take('a', 1, bucket)).toEqual({ ok: true });
  now = 1_000_000;
  expect(await limiter.take('a', 3, bucket)).toEqual({ ok: false, retryAfterMs: 250 });
});
