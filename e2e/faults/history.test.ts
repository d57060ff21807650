// The judge can fail: a forged history for each of its verdicts, and honest ones that must pass.
import { expect, test } from '@jest/globals';
import type { Entry, Happened as Plain, Level } from './entry.ts';
import { judge } from './history.ts';

const GROUP = 'garden';
const of = (client: string) => ({ client, group: GROUP });
const message = (client: string, what: string, level: Level = 'text') => ({
  ...of(client),
  ...{ level, what },
});

/** A history out of lines, each a millisecond after the other. */
function history(...lines: (Plain | Plain[])[]): Entry[] {
  return lines.flat().map((line, atMs) => ({ ...line, atMs }));
}

const rules = (...lines: (Plain | Plain[])[]): string[] =>
  judge(history(...lines)).map(({ rule }) => rule);

const three: Plain[] = ['ann', 'ben', 'cat'].map((client) => ({
  ...{ kind: 'joined' as const, epoch: 1 },
  ...of(client),
}));
const sending = (by: string, what: string, level?: Level): Plain => ({
  kind: 'sending',
  ...message(by, what, level),
});
const accepted = (by: string, what: string, epoch = 1, level?: Level): Plain => ({
  ...{ kind: 'accepted', epoch },
  ...message(by, what, level),
});
const arrived = (at: string, what: string, level?: Level): Plain => ({
  kind: 'arrived',
  ...message(at, what, level),
});
const said = (by: string, what: string, epoch = 1): Plain[] => [
  sending(by, what),
  accepted(by, what, epoch),
];

test('what was accepted and arrived everywhere, in one order, is in order', () => {
  const all = [arrived('ben', 'one'), arrived('cat', 'one'), arrived('ben', 'two')];
  expect(rules(three, said('ann', 'one'), said('ann', 'two'), all, arrived('cat', 'two'))).toEqual(
    [],
  );
});

test('an accepted message that one member never got is lost, on either level', () => {
  expect(rules(three, said('ann', 'one'), arrived('ben', 'one'))).toEqual(['lost']);
  const sent = [sending('ann', 'b1', 'queue'), accepted('ann', 'b1', 1, 'queue')];
  expect(rules(three, sent, arrived('cat', 'b1', 'queue'))).toEqual(['lost']);
});

test('what nobody knows the outcome of may arrive or not, but not twice', () => {
  expect(rules(three, sending('ann', 'one'))).toEqual([]);
  expect(rules(three, sending('ann', 'one'), arrived('ben', 'one'))).toEqual([]);
  const twice = [arrived('ben', 'one'), arrived('ben', 'one'), arrived('ben', 'one')];
  expect(rules(three, sending('ann', 'one'), twice)).toEqual(['doubled']);
});

test('what arrives and was never sent is invented', () => {
  expect(rules(three, arrived('ben', 'one'))).toEqual(['invented']);
});

test('what was refused does not arrive, unless it was sent again', () => {
  const refused: Plain = { kind: 'refused', reason: 'NOT_ALLOWED', ...message('ann', 'one') };
  expect(rules(three, sending('ann', 'one'), refused)).toEqual([]);
  expect(rules(three, sending('ann', 'one'), refused, arrived('ben', 'one'))).toEqual([
    'refused, and arrived',
  ]);
  const all = [arrived('ben', 'one'), arrived('cat', 'one')];
  expect(rules(three, sending('ann', 'one'), refused, said('ann', 'one'), all)).toEqual([]);
});

test('two members who heard the same otherwise are out of order', () => {
  const sends = [said('ann', 'one'), said('ben', 'two')].flat();
  const heard = [arrived('cat', 'one'), arrived('cat', 'two')];
  const others = [arrived('ben', 'one'), arrived('ann', 'two')];
  expect(rules(three, sends, heard, others)).toEqual([]);
  const dan: Plain = { kind: 'joined', epoch: 1, ...of('dan') };
  const askew = [arrived('dan', 'two'), arrived('dan', 'one')];
  expect(rules(three, dan, sends, heard, others, askew)).toEqual(['out of order']);
});

test('what one says comes in the order in which it was said', () => {
  const sends = [said('ann', 'one'), said('ann', 'two')].flat();
  const both = ['ben', 'cat'].flatMap((at) => [arrived(at, 'two'), arrived(at, 'one')]);
  expect(rules(three, sends, both)).toEqual(['out of order', 'out of order']);
});

test('who joins later need not have what was said before', () => {
  const dan: Plain = { kind: 'joined', epoch: 2, ...of('dan') };
  const all = ['ben', 'cat'].map((at) => arrived(at, 'one'));
  expect(rules(three, said('ann', 'one'), all, dan)).toEqual([]);
  const late = ['ben', 'cat'].map((at) => arrived(at, 'two'));
  // Said in the old epoch by somebody who had not heard of it.
  expect(rules(three, dan, said('ann', 'one', 1), all)).toEqual([]);
  expect(rules(three, dan, said('ann', 'two', 2), late)).toEqual(['lost']);
});

test('who is removed gets nothing of a later epoch; what was on its way may come', () => {
  const removing: Plain = { kind: 'removing', ...of('cat') };
  const removed: Plain = { kind: 'removed', epoch: 2, ...of('cat') };
  const out = [removing, removed];
  const before = [...said('ann', 'one'), arrived('ben', 'one')];
  expect(rules(three, before, out)).toEqual(['lost']);
  expect(rules(three, removing, before, removed)).toEqual([]);
  expect(rules(three, removing, before, arrived('cat', 'one'), removed)).toEqual([]);
  const after = [...said('ann', 'two', 2), arrived('ben', 'two')];
  expect(rules(three, out, after)).toEqual([]);
  expect(rules(three, out, after, arrived('cat', 'two'))).toEqual(['let in']);
  const ofQueue: Plain = {
    ...{ kind: 'arrived', epoch: 2, isCommit: true },
    ...message('cat', 'b9', 'queue'),
  };
  expect(rules(three, out, sending('ann', 'b9', 'queue'), ofQueue)).toEqual(['let in']);
  const again: Plain = { kind: 'joined', epoch: 3, ...of('cat') };
  expect(rules(three, out, again, said('ann', 'three', 3), arrived('ben', 'three'))).toEqual([
    'lost',
  ]);
});

test('who reads of its Welcome when it is out again need not have understood what was said', () => {
  const out: Plain[] = [
    { kind: 'removing', ...of('dan') },
    { kind: 'removed', epoch: 3, ...of('dan') },
  ];
  const inQueue: Plain = { kind: 'joined', seenBy: 'queue', epoch: 2, ...of('dan') };
  const all = ['ben', 'cat'].flatMap((at) => [arrived(at, 'two'), arrived(at, 'three')]);
  const words = [...said('ann', 'two', 2), ...out, ...said('ann', 'three', 3)];
  expect(rules(three, words, inQueue, all)).toEqual([]);
  const inPerson: Plain = { kind: 'joined', seenBy: 'text', epoch: 2, ...of('dan') };
  expect(rules(three, words, inPerson, all)).toEqual(['lost']);
  const sent = [sending('ann', 'b2', 'queue'), accepted('ann', 'b2', 2, 'queue')];
  const heard = ['ben', 'cat'].map((at) => arrived(at, 'b2', 'queue'));
  expect(rules(three, sent, out, inQueue, heard)).toEqual(['lost']);
  // It finds that it is out, and lets go of the handle by which the rest would have come.
  const barred: Plain = { kind: 'barred', epoch: 2, ...of('dan') };
  expect(rules(three, sent, out, inQueue, barred, heard)).toEqual([]);
  expect(rules(three, sent, out, inQueue, { ...barred, epoch: 1 }, heard)).toEqual(['lost']);
  expect(rules(three, sent, inQueue, barred, heard)).toEqual(['lost']);
});

test('a stranger gets nothing of a group', () => {
  const all = ['ben', 'cat', 'eve'].map((at) => arrived(at, 'one'));
  expect(rules(three, said('ann', 'one'), all)).toEqual(['let in']);
});

test('an intruder who came through was let in', () => {
  expect(rules({ kind: 'intruded', by: 'eve', into: 'GetLog' })).toEqual(['let in']);
});

test('an epoch has one commit, for whoever made it and for all who hear it', () => {
  const won = (client: string, what: string): Plain => ({
    ...{ kind: 'won', epoch: 4, what },
    ...of(client),
  });
  expect(rules(won('ann', 'c1'), won('ann', 'c1'))).toEqual([]);
  expect(rules(won('ann', 'c1'), won('ben', 'c2'))).toEqual(['two commits of an epoch']);
  const heard: Plain = {
    ...{ kind: 'arrived', epoch: 4, isCommit: true },
    ...message('cat', 'c2', 'queue'),
  };
  expect(rules(three, sending('ben', 'c2', 'queue'), won('ann', 'c1'), heard)).toEqual([
    'two commits of an epoch',
  ]);
});

const read = (sequence: number, what = `m${sequence}`): Plain => ({
  ...{ kind: 'read', client: 'ann', queue: 'fan-out queue' },
  ...{ sequence, what },
});

test('a queue is dense from where it is read; what is read again is the same', () => {
  expect(rules(read(7), read(8), read(9), read(8), read(9), read(10))).toEqual([]);
  expect(rules(read(7), read(9))).toEqual(['a gap in a queue']);
  expect(rules(read(7), read(8), read(8, 'other'))).toEqual(['a queue changed']);
});

test('a token passes once, wherever', () => {
  const passed = (token: string, path: string): Plain => ({ kind: 'passed', token, path });
  expect(rules(passed('t1', 'Ack'), passed('t2', 'Ack'))).toEqual([]);
  expect(rules(passed('t1', 'Ack'), passed('t1', 'Send'))).toEqual(['a token twice']);
});

test('a KeyPackage is given once, unless it is a last resort', () => {
  const claimed = (what: string, isLastResort: boolean): Plain => ({
    ...{ kind: 'claimed', what, isLastResort },
  });
  expect(rules(claimed('k1', false), claimed('k2', false))).toEqual([]);
  expect(rules(claimed('k1', true), claimed('k1', true))).toEqual([]);
  expect(rules(claimed('k1', false), claimed('k1', false))).toEqual(['a KeyPackage twice']);
});
