import { expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { Stalled } from './stalled.ts';

const [b, c, d] = ['b.example', 'c.example', 'd.example'].map((name) => parseDomain(name));

test('destinations come in turn, so that one that fails does not keep the others waiting', () => {
  if (b === undefined || c === undefined || d === undefined) throw new Error('three domains');
  const stalled = new Stalled();
  expect(stalled.inTurn([b, c, d])).toEqual([b, c, d]);
  stalled.turn = b;
  expect(stalled.inTurn([b, c, d])).toEqual([c, d, b]);
  stalled.turn = d;
  expect(stalled.inTurn([b, c, d])).toEqual([b, c, d]);
});

test('a destination that takes nothing is left aside until all is tried again', () => {
  if (b === undefined || c === undefined) throw new Error('two domains');
  const stalled = new Stalled();
  expect(stalled.isEmpty).toBe(true);
  stalled.groupsOf(c);
  expect(stalled.isEmpty).toBe(true);
  stalled.refuse(b);
  expect(stalled.inTurn([b, c])).toEqual([c]);
  expect(stalled.isEmpty).toBe(false);
  stalled.clear();
  expect(stalled.inTurn([b, c])).toEqual([b, c]);
});
