import { expect, test } from '@jest/globals';
import { type BusEvent, firstPair, type Pair } from '@roost/bus/frames';
import { GroupId } from '@roost/core/ids';

import { HEADS_MS, take } from './taking.ts';

const groupId = GroupId.fromText('00112233-4455-4677-8899-aabbccddeeff@a.example', 'group');
const id = groupId.uuid;
const at = (n: number, incarnation = 1): Pair => ({ incarnation, n: BigInt(n) });
const sealed = Uint8Array.of(1);
const event = (n: number, prev = n === 1 ? firstPair : at(n - 1)): BusEvent => ({
  ...{ kind: 'event', groupId, number: at(n), prev, sealed },
});
const other = (kind: 'gap' | 'head', prev: Pair, number: Pair): BusEvent => ({
  ...{ kind, groupId, prev, number, sealed: new Uint8Array(0) },
});
const NOW = 1_000 * HEADS_MS;
const standing = (mark: Pair, toldMs = NOW) => new Map([[id, { mark, toldMs }]]);
const taken = ({ rows }: ReturnType<typeof take>) =>
  rows.map(({ kind, number, prev }) => [kind, Number(number.n), Number(prev.n)]);

test('events are kept in their order, once, and nothing behind one that is missing', () => {
  const all = take(new Map(), [event(1), event(2), event(2), event(4)], NOW);
  expect(taken(all)).toEqual([
    ['event', 1, 0],
    ['event', 2, 1],
  ]);
  expect(all.moves).toEqual([{ id, from: firstPair, mark: at(2), toldMs: NOW }]);
  expect(taken(take(standing(at(2)), [event(1), event(2)], NOW))).toEqual([]);
});

test('a gap is kept as a head: who it is for hears of it from where it stands itself', () => {
  const all = take(standing(at(3)), [other('gap', at(3), at(7)), event(8)], NOW);
  expect(taken(all)).toEqual([
    ['head', 7, 7],
    ['event', 8, 7],
  ]);
  expect(all.moves).toEqual([{ id, from: at(3), mark: at(8), toldMs: NOW }]);
  expect(take(standing(at(4)), [other('gap', at(3), at(7))], NOW)).toEqual({ rows: [], moves: [] });
});

test('a head goes on as far as we have it, a day after anything else did', () => {
  const head = other('head', firstPair, at(9));
  expect(take(standing(at(9), NOW - HEADS_MS + 1), [head], NOW)).toEqual({ rows: [], moves: [] });
  const late = take(standing(at(9), NOW - HEADS_MS), [head, head], NOW);
  expect(taken(late)).toEqual([['head', 9, 9]]);
  expect(late.moves).toEqual([{ id, from: at(9), mark: at(9), toldMs: NOW }]);
  // What we do not have ourselves we cannot speak of.
  expect(taken(take(standing(at(5), 0), [head], NOW))).toEqual([['head', 5, 5]]);
  expect(taken(take(new Map(), [head], NOW))).toEqual([]);
});
