// What the DS does with rows for other homeservers where the gateway does not take them.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { decodeRemoteBatch, encodeBusAnswer } from '@roost/bus/frames';
import { Failure } from '@roost/core/failure';
import { parseDomain } from '@roost/core/ids';
import { until } from '@roost/testing/until';
import { commit, found, send } from './testing/deeds.fixture.ts';
import { Elsewhere } from './testing/elsewhere.fixture.ts';
import { type House, type HouseOptions, openHouse, quiet } from './testing/house.fixture.ts';
import { type Person, person } from './testing/people.fixture.ts';
import { TestReceiver } from './testing/receiver.fixture.ts';

const [b, c] = [parseDomain('b.example'), parseDomain('c.example')];
let stack: AsyncDisposableStack;
let receiver: TestReceiver;
let elsewhere: Elsewhere;
let house: House;

beforeEach(() => {
  stack = new AsyncDisposableStack();
  receiver = new TestReceiver();
  elsewhere = new Elsewhere(receiver);
});
afterEach(async () => {
  await stack.disposeAsync();
});

async function scene(options: HouseOptions = {}) {
  const federation = { forward: async () => new Uint8Array(0), federationBus: elsewhere };
  house = stack.use(await openHouse({ receiver, federation, ...options }));
  const [alice, anna, bob, carol] = await Promise.all([
    person('alice'),
    person('anna'),
    person('bob', { domain: b }),
    person('carol', { domain: c }),
  ]);
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [anna, bob, carol] });
  await quiet(house);
  return { room, alice, anna, bob, carol, atB: elsewhere.at(b), atC: elsewhere.at(c) };
}

const countOf = (at: TestReceiver, who: Person) => at.queueOf(who.handle).length;

test('while the gateway is away everybody at home hears everything, and the others later', async () => {
  const { room, alice, anna, bob, carol, atB, atC } = await scene();
  const request = elsewhere.request.bind(elsewhere);
  elsewhere.request = async () => {
    throw new Failure('UNAVAILABLE', 'bus: nobody serves');
  };
  for (let at = 0; at < 10; at++) await send(house, alice, room, `message ${at}`);
  await until(() => countOf(receiver, anna) === 11);
  expect([countOf(atB, bob), countOf(atC, carol)]).toEqual([1, 1]);
  elsewhere.request = request;
  await quiet(house);
  expect([countOf(atB, bob), countOf(atC, carol)]).toEqual([11, 11]);
  expect([...atB.gaps, ...atC.gaps]).toEqual([]);
});

/** The gateway takes nothing for B; how often it was asked to. */
function refuseB(): { readonly asked: () => number; readonly end: () => void } {
  const request = elsewhere.request.bind(elsewhere);
  let asked = 0;
  elsewhere.request = async (...those) => {
    if (decodeRemoteBatch(those[1]).destination !== b) return await request(...those);
    asked++;
    return encodeBusAnswer({ marks: [], gone: [] });
  };
  return { asked: () => asked, end: () => void (elsewhere.request = request) };
}

test('a destination of which the gateway takes nothing is left aside, whatever is said meanwhile, and the others flow', async () => {
  const { room, alice, bob, carol, atB, atC } = await scene({
    dispatch: { backoffFirstMs: 600_000, backoffLastMs: 600_000 },
  });
  const { asked } = refuseB();
  for (let at = 0; at < 8; at++) {
    await send(house, alice, room, `message ${at}`);
    await until(() => countOf(atC, carol) === at + 2);
  }
  expect(countOf(atB, bob)).toBe(1);
  // Once; on a machine that stands still a lease may be lost and had anew, and all is tried.
  expect(asked()).toBeLessThan(4);
});

test('what was left aside has its time, however often others wake who carries it', async () => {
  const { room, alice, bob, atB } = await scene({
    // Longer than the looks in between.
    dispatch: { backoffFirstMs: 2_000, backoffLastMs: 2_000 },
  });
  const { asked, end } = refuseB();
  for (let at = 0; at < 5; at++) await send(house, alice, room, `message ${at}`);
  await until(() => asked() > 0);
  end();
  await quiet(house);
  expect([countOf(atB, bob), atB.gaps.length]).toEqual([6, 0]);
});

test('one that is away for too long keeps nobody from writing: beyond its part it finds a gap', async () => {
  const { room, alice, anna, bob, carol, atB, atC } = await scene({
    limits: { outboxRowsMax: 800 },
  });
  atB.isAway = true;
  // Of other groups enough waits for it.
  await house.database.query({
    text: `INSERT INTO outbox (group_id, destination, partition, incarnation, n, prev_incarnation, prev_n, sealed)
           SELECT gen_random_uuid(), $1, 0, 1, 1, 0, 0, '' FROM generate_series(1, 100)`,
    values: [b],
  });
  const waiting = async (): Promise<number> => {
    const text = 'SELECT FROM outbox WHERE group_id = $1 AND destination = $2';
    return (await house.database.query({ text, values: [room.id.uuid, b] })).length;
  };
  let said = 0;
  const say = async () => await send(house, alice, room, `message ${said++}`);
  for (let before = -1; (await waiting()) !== before;) {
    before = await waiting();
    await say();
  }
  const kept = await waiting();
  for (let more = 0; more < 3; more++) await say();
  expect(await waiting()).toBe(kept);
  await until(() => countOf(receiver, anna) === 1 + said && countOf(atC, carol) === 1 + said);

  await house.database.query({ text: `DELETE FROM outbox WHERE sealed = ''` });
  while ((await waiting()) === kept) await say();
  atB.isAway = false;
  await quiet(house);
  expect(atB.gaps).toHaveLength(1);
  expect(countOf(atB, bob)).toBe(1 + kept + 1);
});
