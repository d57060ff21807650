import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { Crowd } from './crowd.ts';

const LIMITS = { all: 8, each: 2, waitingEach: 3, waiting: 5, waitMs: 60_000 };
let crowd: Crowd;
let end: AbortController;
beforeEach(() => {
  crowd = new Crowd(LIMITS);
  end = new AbortController();
});
// Those who still wait do not keep the process.
afterEach(() => end.abort(new Error('the test is over')));

const busy = expect.objectContaining({ reason: 'RATE_LIMITED', facts: { retryAfterMs: 1_000 } });

/** Who was let in, by their names, in that order. */
function queue(...names: readonly string[]) {
  const order: string[] = [];
  const all = names.map(async (name) => {
    const entered = await crowd.enter(name.slice(0, 1), end.signal);
    order.push(name);
    return entered;
  });
  for (const each of all) each.catch(() => undefined);
  return { order, all };
}
const turn = async () => await new Promise((resolve) => setImmediate(resolve));

test('a source that floods is let in so far as its share goes; others are let in as if it were not there', async () => {
  const { order, all } = queue('a1', 'a2', 'a3', 'a4', 'a5');
  await turn();
  expect(order).toEqual(['a1', 'a2']);
  const others = queue('b1', 'c1', 'b2', 'd1');
  await turn();
  expect(others.order).toEqual(['b1', 'c1', 'b2', 'd1']);
  expect([crowd.inside, crowd.waiting]).toEqual([6, 3]);
  (await all[0]!)[Symbol.dispose]();
  await turn();
  expect(order).toEqual(['a1', 'a2', 'a3']);
});

test('too many that wait are refused at once: of one source, and of all', async () => {
  queue('a1', 'a2', 'a3', 'a4', 'a5');
  await expect(crowd.enter('a', end.signal)).rejects.toEqual(busy);
  queue('b1', 'b2', 'b3', 'b4');
  await expect(crowd.enter('b', end.signal)).rejects.toEqual(busy);
  // Who does not have to wait is not in the way of those who do.
  await crowd.enter('c', end.signal);
  expect([crowd.inside, crowd.waiting]).toEqual([5, 5]);
});

test('where all is taken, those who wait come in turn by their source, not by how many they are', async () => {
  crowd = new Crowd({ ...LIMITS, all: 2 });
  const [first, second] = [await crowd.enter('x', end.signal), await crowd.enter('y', end.signal)];
  const { order } = queue('a1', 'a2', 'a3', 'b1', 'c1');
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  await turn();
  expect(order).toEqual(['a1', 'b1']);
});

test('who leaves twice leaves once; who has gone or waited too long leaves no trace', async () => {
  crowd = new Crowd({ ...LIMITS, each: 1, waitMs: 1 });
  const inside = await crowd.enter('a', end.signal);
  await expect(crowd.enter('a', end.signal)).rejects.toEqual(busy);
  crowd = new Crowd({ ...LIMITS, each: 1 });
  const first = await crowd.enter('a', end.signal);
  const gone = new AbortController();
  const waiting = crowd.enter('a', gone.signal);
  gone.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  expect([crowd.inside, crowd.waiting]).toEqual([1, 0]);
  for (const each of [first, first, inside]) each[Symbol.dispose]();
  expect([crowd.inside, crowd.waiting]).toEqual([0, 0]);
  // One that goes in the moment that its turn comes does not stay inside.
  const [second, late] = [await crowd.enter('a', end.signal), new AbortController()];
  const coming = crowd.enter('a', late.signal);
  late.abort(new Error('gone'));
  second[Symbol.dispose]();
  await expect(coming).rejects.toThrow('gone');
  await turn();
  expect(crowd.inside).toBe(0);
});
