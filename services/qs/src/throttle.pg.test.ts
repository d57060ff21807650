// What other hubs may deliver to one queue: so much at once, the rest a little later, and nothing is lost.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GroupId, parseDomain } from '@roost/core/ids';
import { TestClock } from '@roost/testing/clock';

import { SmallBuckets } from './federation.fixture.ts';
import { RecordingPush } from './push.fixture.ts';
import {
  bound,
  busEvent,
  domain,
  fanOutTo,
  message,
  newClient,
  newGroup,
  openWorld,
  pair,
  readAll,
  send,
  words,
  type World,
} from './world.fixture.ts';

const [b, c] = [parseDomain('b.example'), parseDomain('c.example')];
const clock = new TestClock(Date.now());
const limits = new SmallBuckets(clock);
let world: World;

beforeAll(async () => {
  const forward = async () => new Uint8Array(0);
  world = await openWorld({}, new RecordingPush(), { forward, queueLimits: limits });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** A group of a hub with some members here. */
async function scene(hub = b, members = 1) {
  const groupId = GroupId.of(newGroup().uuid, hub);
  const clients = await Promise.all(Array.from({ length: members }, () => newClient(world)));
  const handles = await Promise.all(clients.map((client) => bound(world, client, groupId)));
  const event = (n: number, to = handles) =>
    busEvent(groupId, n, fanOutTo(to, message(groupId, `${n}`)));
  const events = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, at) => event(from + at));
  const read = async () =>
    Promise.all(clients.map(async (client) => words((await readAll(world, client)).items)));
  const mark = (n: number) => ({ groupId, mark: n === 0 ? pair(0, 0) : pair(n) });
  return { groupId, clients, handles, event, events, read, mark };
}

test('a queue that had enough takes the rest later, in order and once', async () => {
  const { event, events, read, mark } = await scene();
  expect((await send(world, events(1, 3), b)).marks).toEqual([mark(3)]);
  expect((await send(world, events(4, 6), b)).marks).toEqual([mark(3)]);
  expect((await send(world, events(4, 6), b)).marks).toEqual([mark(3)]);
  expect((await send(world, [event(4)], b)).marks).toEqual([mark(4)]);
  clock.advance(4_000);
  expect((await send(world, events(5, 7), b)).marks).toEqual([mark(7)]);
  expect(await read()).toEqual([['1', '2', '3', '4', '5', '6', '7']]);
});

test('a group with a full queue stands still; others, and other hubs, go on in the same moment', async () => {
  const [flood, other, third] = [await scene(), await scene(), await scene(c)];
  await send(world, flood.events(1, 4), b);
  const answer = await send(world, [...flood.events(5, 6), ...other.events(1, 2)], b);
  expect(answer.marks).toEqual([flood.mark(4), other.mark(2)]);
  expect((await send(world, third.events(1, 4), c)).marks).toEqual([third.mark(4)]);
  expect([await other.read(), await third.read()]).toEqual([[['1', '2']], [['1', '2', '3', '4']]]);
});

test('it stops before the first event for the full queue, and what comes before is stored', async () => {
  const { handles, event, read, mark } = await scene(b, 2);
  const [one = new Uint8Array(0), two = new Uint8Array(0)] = handles;
  for (const n of [1, 2, 3, 4]) await send(world, [event(n, [one])], b);
  const events = [event(5, [two]), event(6, [two]), event(7, [one, two]), event(8, [two])];
  expect((await send(world, events, b)).marks).toEqual([mark(6)]);
  clock.advance(5_000);
  expect((await send(world, events, b)).marks).toEqual([mark(8)]);
  expect(await read()).toEqual([
    ['1', '2', '3', '4', '7'],
    ['5', '6', '7', '8'],
  ]);
});

test('what comes again costs nothing, nor does what our own hub delivers', async () => {
  const [theirs, ours] = [await scene(), await scene(domain)];
  for (let time = 0; time < 4; time++) await send(world, theirs.events(1, 2), b);
  expect((await send(world, theirs.events(1, 4), b)).marks).toEqual([theirs.mark(4)]);
  const asked = limits.asked;
  expect((await send(world, ours.events(1, 20))).marks).toEqual([ours.mark(20)]);
  expect(limits.asked).toBe(asked);
});

test('while nobody can count nothing is stored, and nothing is lost', async () => {
  const { events, read, mark } = await scene();
  limits.isAway = true;
  await expect(send(world, events(1, 3), b)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  limits.isAway = false;
  expect(await read()).toEqual([[]]);
  expect((await send(world, events(1, 3), b)).marks).toEqual([mark(3)]);
  expect(await read()).toEqual([['1', '2', '3']]);
});

test('a silenced, a deleted and an unknown queue are counted as any other: a hub finds out nothing by it', async () => {
  const silenced = await scene();
  const [client, handles] = [silenced.clients[0], silenced.handles];
  if (client === undefined) throw new Error('a scene has a client');
  await world.client.silenceHandles({ handles, silenced: true }, { sign: client.sign });
  const unknown = await scene();
  const nobody = [new Uint8Array(32).fill(7)];
  for (const { events, mark } of [silenced, await scene()]) {
    expect(await send(world, events(1, 4), b)).toEqual({ marks: [mark(4)], gone: [] });
    expect(await send(world, events(5, 6), b)).toEqual({ marks: [mark(4)], gone: [] });
  }
  for (const n of [1, 2, 3, 4]) await send(world, [unknown.event(n, nobody)], b);
  expect(await send(world, [unknown.event(5, nobody)], b)).toMatchObject({
    marks: [unknown.mark(4)],
  });
});
