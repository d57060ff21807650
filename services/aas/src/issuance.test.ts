import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { Issuance } from './issuance.ts';

const forever = new AbortController().signal;

/** Work that ends when it is told to. */
function tasks(issuance: Issuance) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (name: string, signal = forever) =>
    issuance.during(signal, async () => {
      begun.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      return name;
    });
  return { begun, start, end: (name: string) => ends.get(name)?.() };
}

function afterMs(work: () => unknown): number {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.reason === 'RATE_LIMITED') {
      return error.facts.retryAfterMs ?? -1;
    }
    throw error;
  }
  return 0;
}

test('so many work at once, so many wait in order, and nobody else is let in', async () => {
  let refused = 0;
  const issuance = new Issuance({ atOnce: 2, waitingMax: 2 }, () => refused++);
  const { begun, start, end } = tasks(issuance);
  const running = ['a', 'b', 'c', 'd'].map((name) => start(name));
  expect([begun, issuance.waiting]).toEqual([['a', 'b'], 2]);
  await expect(start('e')).rejects.toThrow('too many draw tokens at once');
  expect([afterMs(() => issuance.assertRoom()) > 0, refused]).toEqual([true, 2]);

  end('a');
  expect(await running[0]).toBe('a');
  expect(begun).toEqual(['a', 'b', 'c']);
  for (const name of ['b', 'c']) end(name);
  await running[2];
  end('d');
  expect(await Promise.all(running)).toEqual(['a', 'b', 'c', 'd']);
  issuance.assertRoom();
});

test('work that fails, and a request that ended while it waited, leave their place', async () => {
  const issuance = new Issuance({ atOnce: 1, waitingMax: 9 }, () => undefined);
  const { begun, start, end } = tasks(issuance);
  const first = start('a');
  const gone = new AbortController();
  const impatient = start('b', gone.signal);
  const failing = issuance.during(forever, async () => await Promise.reject(new Error('broken')));
  const last = start('c');
  const answers = Promise.allSettled([impatient, failing]);
  gone.abort();
  end('a');
  await first;
  expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  end('c');
  expect(await last).toBe('c');
  expect(begun).toEqual(['a', 'c']);
});

test('who is sent away comes back one behind the other, as fast as the work goes', async () => {
  let now = 0;
  const issuance = new Issuance(
    { atOnce: 1, waitingMax: 0 },
    () => undefined,
    () => now,
  );
  for (let at = 0; at < 50; at++) {
    await issuance.during(forever, async () => {
      now += 1_000;
    });
  }
  const { start, end } = tasks(issuance);
  const held = start('a');
  const times = Array.from({ length: 500 }, () => afterMs(() => issuance.assertRoom()));
  expect(times.slice(0, 3).map((ms) => Math.round(ms / 100))).toEqual([10, 20, 30]);
  expect(Math.min(...times)).toBeGreaterThanOrEqual(500);
  expect(Math.max(...times)).toBeLessThanOrEqual(60_000);
  expect(new Set(times).size).toBeGreaterThan(50);
  end('a');
  await held;
});
