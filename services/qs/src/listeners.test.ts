import { expect, test } from '@jest/globals';
import { MemoryBell } from '@roost/bus/memory';
import type { QueueRun } from '@roost/bus/queue';
import { Listeners, type Seat } from './listeners.ts';

const ciphertext = new Uint8Array(8);
const run = (first: number, count = 1): QueueRun => ({
  firstSequence: BigInt(first),
  count,
  ciphertext,
});
const nothing = async (): Promise<QueueRun[]> => [];
const firsts = (runs: readonly QueueRun[]) =>
  runs.map(({ firstSequence }) => Number(firstSequence));

/** A listener that has read everything below `position`. */
async function caughtUp(position = 5): Promise<{ listeners: Listeners; seat: Seat }> {
  const listeners = new Listeners(new MemoryBell(), 2);
  const seat = listeners.sit(1n, 1n, BigInt(position));
  // Its own ring at the start makes it look once more.
  await Promise.resolve();
  await seat.take(nothing);
  return { listeners, seat };
}

test('what begins exactly where a listener stands is pushed', async () => {
  const { listeners, seat } = await caughtUp();
  listeners.deliver(1n, [run(5), run(6, 2)]);
  listeners.deliver(1n, [run(8)]);
  expect(firsts(await seat.take(nothing))).toEqual([5, 6, 8]);
  expect(seat.position).toBe(9n);
});

test('what comes out of order is read instead, and comes once', async () => {
  const { listeners, seat } = await caughtUp();
  listeners.deliver(1n, [run(6)]);
  listeners.deliver(1n, [run(5)]);
  expect(firsts(await seat.take(async () => [run(5), run(6)]))).toEqual([5, 6]);
  expect(await seat.take(nothing)).toEqual([]);
  listeners.deliver(1n, [run(6)]);
  expect(await seat.take(nothing)).toEqual([]);
});

test('what is stored during a read is not lost and not doubled', async () => {
  const { listeners, seat } = await caughtUp();
  seat.fallBehind();
  const read = Promise.withResolvers<QueueRun[]>();
  const taking = seat.take(() => read.promise);
  listeners.deliver(1n, [run(5)]);
  read.resolve([run(5)]);
  expect(firsts(await taking)).toEqual([5]);
  expect(await seat.take(nothing)).toEqual([]);
  seat.fallBehind();
  const late = Promise.withResolvers<QueueRun[]>();
  const takingLate = seat.take(() => late.promise);
  listeners.deliver(1n, [run(6)]);
  late.resolve([]);
  expect(await takingLate).toEqual([]);
  expect(firsts(await seat.take(async () => [run(6)]))).toEqual([6]);
});

test('a listener that does not read is pushed a bounded amount', async () => {
  const { listeners, seat } = await caughtUp(0);
  const large = (first: number) => ({ ...run(first), ciphertext: new Uint8Array(300_000) });
  for (let first = 0; first < 20; first++) listeners.deliver(1n, [large(first)]);
  expect(firsts(await seat.take(nothing))).toEqual([0, 1, 2, 3]);
  expect(firsts(await seat.take(async (position) => [large(Number(position))]))).toEqual([4]);
});

test('whoever listens in another process is rung for', async () => {
  const bell = new MemoryBell();
  const here = new Listeners(bell, 2);
  const there = new Listeners(bell, 2);
  const seat = there.sit(1n, 1n, 5n);
  await Promise.resolve();
  await seat.take(nothing);
  here.deliver(1n, [run(5)]);
  expect(await seat.wait(1_000, new AbortController().signal)).toBe(true);
  expect(firsts(await seat.take(async () => [run(5)]))).toEqual([5]);
});

test('one listens to a queue, the newest, and a process takes so many', async () => {
  const { listeners, seat } = await caughtUp();
  const newer = listeners.sit(1n, 2n, 5n);
  expect(() => seat.assertSeated()).toThrow('another listener');
  seat[Symbol.dispose]();
  expect(() => listeners.sit(1n, 1n, 5n)).toThrow('another listener');
  expect(listeners.count).toBe(1);
  listeners.sit(2n, 1n, 0n);
  expect(() => listeners.sit(3n, 1n, 0n)).toThrow('as many listeners');
  listeners.compare(1n, 5n, 3n);
  expect(() => newer.assertSeated()).toThrow('another listener');
});

test('an idle wait ends by itself, and at once when its caller has gone', async () => {
  const { seat } = await caughtUp();
  const abort = new AbortController();
  expect(await seat.wait(5, abort.signal)).toBe(false);
  const waiting = seat.wait(60_000, abort.signal);
  abort.abort();
  expect(await waiting).toBe(true);
});
