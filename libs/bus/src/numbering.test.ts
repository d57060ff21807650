import { expect, test } from '@jest/globals';
import { GroupId } from '@roost/core/ids';

import type { BusEvent, Pair } from './frames.ts';
import { nextNumber, nextStep, takes } from './numbering.ts';

const pair = (incarnation: number, n: bigint): Pair => ({ incarnation, n });

test('numbers go on over a restore, under the next incarnation', () => {
  const first = nextNumber(pair(0, 0n), 1);
  expect(first).toEqual({ number: pair(1, 1n), prev: pair(0, 0n) });
  expect(nextNumber(first.number, 2)).toEqual({ number: pair(2, 2n), prev: pair(1, 1n) });
});

test('where the row behind the mark is there, it is sent', () => {
  const row = nextNumber(pair(1, 4n), 1);
  expect(nextStep(pair(1, 4n), row, pair(1, 9n))).toEqual({ kind: 'send' });
  expect(nextStep(pair(1, 7n), row, pair(1, 9n))).toEqual({ kind: 'send' });
});

test('where it is gone, a gap is told, up to the lowest row or to the head', () => {
  const [from, row] = [pair(1, 2n), nextNumber(pair(1, 4n), 1)];
  expect(nextStep(from, row, pair(1, 9n))).toEqual({ kind: 'gap', from, to: pair(1, 4n) });
  expect(nextStep(from, undefined, pair(2, 1n))).toEqual({ kind: 'gap', from, to: pair(2, 1n) });
});

test('a receiver that has it all, or is ahead of a restored sender, is told nothing', () => {
  expect(nextStep(pair(1, 9n), undefined, pair(1, 9n))).toEqual({ kind: 'done' });
  expect(nextStep(pair(1, 9n), undefined, pair(1, 6n))).toEqual({ kind: 'done' });
});

const groupId = GroupId.fromText('00112233-4455-4677-8899-aabbccddeeff@a.example', 'group');
const at = (incarnation: number, n: number): Pair => ({ incarnation, n: BigInt(n) });
const event = (kind: BusEvent['kind'], prev: Pair, number: Pair): BusEvent => ({
  kind,
  groupId,
  prev,
  number,
  sealed: new Uint8Array(0),
});

test('an event is taken once, and only where nothing before it is missing', () => {
  const second = event('event', at(1, 1), at(1, 2));
  expect(takes(at(1, 1), second)).toBe(true);
  expect(takes(at(1, 2), second)).toBe(false);
  expect(takes(at(1, 3), second)).toBe(false);
  expect(takes(at(1, 0), second)).toBe(false);
});

test('after a restore of the sender a new incarnation goes on from an old mark', () => {
  expect(takes(at(1, 9), event('event', at(1, 7), at(2, 8)))).toBe(true);
  expect(takes(at(2, 8), event('event', at(1, 8), at(1, 9)))).toBe(false);
});

test('a gap moves exactly the mark that it was made from', () => {
  const gap = event('gap', at(1, 3), at(1, 8));
  expect(takes(at(1, 3), gap)).toBe(true);
  expect(takes(at(1, 4), gap)).toBe(false);
  expect(takes(at(1, 2), gap)).toBe(false);
  expect(takes(at(1, 8), gap)).toBe(false);
});

test('a head moves nothing, nor does a number that cannot be kept', () => {
  expect(takes(at(0, 0), event('head', at(0, 0), at(1, 8)))).toBe(false);
  const beyond = { incarnation: 1, n: 2n ** 63n };
  expect(takes(at(0, 0), event('event', at(0, 0), beyond))).toBe(false);
});
