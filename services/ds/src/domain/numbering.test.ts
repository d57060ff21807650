import { expect, test } from '@jest/globals';
import { nextNumber, nextStep } from './numbering.ts';
import type { Pair } from './numbering.ts';

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
