import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { encodeGroupEvent } from '@roost/bus/group-event';
import { parseDomain, scopedWire } from '@roost/core/ids';
import {
  bound,
  busEvent,
  domain,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openWorld,
  pair,
  readAll,
  send,
  words,
  type World,
} from './world.fixture.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** A group with one member that reads along. */
async function scene() {
  const [client, groupId] = [await newClient(world), newGroup()];
  const handle = await bound(world, client, groupId);
  const event = (n: number, options = {}) =>
    busEvent(groupId, n, fanOutTo([handle], message(groupId, `message ${n}`)), options);
  const read = async () => words((await readAll(world, client)).items);
  return { client, groupId, handle, event, read };
}

test('what is delivered is read in order, and its mark is told', async () => {
  const { groupId, event, read } = await scene();
  const answer = await send(world, [event(1), event(2)]);
  expect(answer).toEqual({ marks: [{ groupId, mark: pair(2) }], gone: [] });
  expect(await read()).toEqual(['message 1', 'message 2']);
});

test('one batch is one run in each queue', async () => {
  const { client, event } = await scene();
  await send(world, [event(1), event(2), event(3)]);
  const { sign } = client;
  const { runs } = await world.client.dequeue({ fromSequence: 0n, max: 0 }, { sign });
  expect(runs.map(({ firstSequence, count }) => [firstSequence, count])).toEqual([
    [0n, 1],
    [1n, 3],
  ]);
});

test('a duplicate is answered and not stored again, whole or in part', async () => {
  const { event, read } = await scene();
  await send(world, [event(1), event(2)]);
  expect((await send(world, [event(1), event(2)])).marks[0]?.mark).toEqual(pair(2));
  expect((await send(world, [event(2), event(3)])).marks[0]?.mark).toEqual(pair(3));
  expect(await read()).toEqual(['message 1', 'message 2', 'message 3']);
});

test('what comes too early is not stored, and is asked for again by the mark', async () => {
  const { event, read } = await scene();
  expect((await send(world, [event(2)])).marks[0]?.mark).toEqual(pair(0, 0));
  expect((await send(world, [event(2), event(1)])).marks[0]?.mark).toEqual(pair(1));
  await send(world, [event(2)]);
  expect(await read()).toEqual(['message 1', 'message 2']);
});

test('the same batch at once at several receivers is stored once', async () => {
  const { event, read } = await scene();
  const same = [event(1), event(2), event(3)];
  const answers = await Promise.all(Array.from({ length: 6 }, () => send(world, same)));
  for (const { marks } of answers) expect(marks[0]?.mark).toEqual(pair(3));
  expect(await read()).toEqual(['message 1', 'message 2', 'message 3']);
});

test('groups with the same members that deliver at once fill dense queues', async () => {
  const clients = await Promise.all([newClient(world), newClient(world), newClient(world)]);
  const groups = Array.from({ length: 6 }, () => newGroup());
  const batches = await Promise.all(
    groups.map(async (groupId, at) => {
      const handles = await Promise.all(clients.map((client) => bound(world, client, groupId)));
      // Each in an order of its own: queues are locked in theirs.
      const rotated = [...handles.slice(at % 3), ...handles.slice(0, at % 3)];
      return [1, 2].map((n) => busEvent(groupId, n, fanOutTo(rotated, message(groupId, `${at}`))));
    }),
  );
  await Promise.all(batches.map((batch) => send(world, batch)));
  for (const client of clients) {
    const said = words((await readAll(world, client)).items);
    expect(said.toSorted()).toEqual(['0', '0', '1', '1', '2', '2', '3', '3', '4', '4', '5', '5']);
  }
});

test('after a restore of the sender its new incarnation goes on', async () => {
  const { event, read } = await scene();
  await send(world, [event(1), event(2)]);
  await send(world, [event(2, { prev: pair(1), number: pair(2, 2) })]);
  const stale = await send(world, [event(3)]);
  expect(stale.marks[0]?.mark).toEqual(pair(2, 2));
  expect(await read()).toEqual(['message 1', 'message 2', 'message 2']);
});

test('a gap moves the mark by compare-and-set, and what follows is stored', async () => {
  const { groupId, event, read } = await scene();
  await send(world, [event(1)]);
  const gap = { kind: 'gap' as const, groupId, sealed: new Uint8Array(0) };
  const wrong = await send(world, [{ ...gap, prev: pair(2), number: pair(7) }]);
  expect(wrong.marks[0]?.mark).toEqual(pair(1));
  const right = await send(world, [{ ...gap, prev: pair(1), number: pair(7) }, event(8)]);
  expect(right.marks[0]?.mark).toEqual(pair(8));
  expect(await read()).toEqual(['message 1', 'message 8']);
});

test('a head is answered with the mark, and so reveals a loss', async () => {
  const { groupId, event } = await scene();
  await send(world, [event(1)]);
  const head = { kind: 'head' as const, groupId, prev: pair(0, 0), sealed: new Uint8Array(0) };
  const answer = await send(world, [{ ...head, number: pair(9) }]);
  expect(answer.marks).toEqual([{ groupId, mark: pair(1) }]);
});

test('an undecodable event is put aside alone, and the ones behind it are stored', async () => {
  const { groupId, event, read } = await scene();
  const broken = { ...event(2), sealed: new Uint8Array(100) };
  const other = await scene();
  const foreign = busEvent(groupId, 3, fanOutTo([other.handle], message(other.groupId, 'x')));
  const nonsense = busEvent(groupId, 4, fanOutTo([other.handle], new Uint8Array(9)));
  const before = await countLetters();
  const { marks } = await send(world, [event(1), broken, foreign, nonsense, event(5)]);
  expect(marks[0]?.mark).toEqual(pair(5));
  expect(await read()).toEqual(['message 1', 'message 5']);
  expect((await countLetters()) - before).toBe(3);
});

async function countLetters(): Promise<number> {
  const rows = await world.database.query({ text: 'SELECT letter_id FROM dead_letters' });
  return rows.length;
}

test('delivery for another group or by an unknown handle stores nothing', async () => {
  const { groupId, handle, read } = await scene();
  const elsewhere = newGroup();
  const stray = busEvent(elsewhere, 1, fanOutTo([handle], message(elsewhere, 'stray')));
  const unknown = fanOutTo([new Uint8Array(32).fill(7)], message(groupId, 'unknown'));
  const answer = await send(world, [stray, busEvent(groupId, 1, unknown)]);
  expect(answer.gone).toEqual([]);
  expect(answer.marks.map(({ mark }) => mark)).toEqual([pair(1), pair(1)]);
  expect(await read()).toEqual([]);
});

test('another homeserver is refused before its events are looked at', async () => {
  const { event, read } = await scene();
  const foreign = send(world, [event(1)], parseDomain('b.example'));
  await expect(foreign).rejects.toMatchObject({ reason: 'FEDERATION_DENIED' });
  expect(await read()).toEqual([]);
});

test('only the hub hears that a client is gone, with every repetition', async () => {
  const user = await newUser(world);
  const [client, groupId] = [await newClient(world, user), newGroup()];
  const handle = await bound(world, client, groupId);
  const released = await bound(world, client, groupId);
  const { sign } = client;
  await world.client.releaseHandles({ handles: [released] }, { sign });
  const event = busEvent(groupId, 1, fanOutTo([handle, released], message(groupId, 'late')));
  await world.client.deleteClient({ qsClientId: scopedWire(client.id) }, { sign: user.sign });

  const gone = [{ groupId, handle }];
  expect((await send(world, [event])).gone).toEqual(gone);
  expect((await send(world, [event])).gone).toEqual(gone);
  const elsewhere = newGroup();
  const stray = busEvent(elsewhere, 1, fanOutTo([handle], message(elsewhere, 'stray')));
  expect((await send(world, [stray])).gone).toEqual([]);
  const reading = world.client.dequeue({ fromSequence: 0n, max: 0 }, { sign });
  await expect(reading).rejects.toMatchObject({ reason: 'UNAUTHENTICATED' });
});

test("a Welcome of a recipient's own takes the place of the shared event", async () => {
  const { client, groupId, handle, read } = await scene();
  const other = await newClient(world);
  const otherHandle = await bound(world, other, groupId);
  const head = { groupId, epoch: 2n, acceptedAtMs: 5n, kind: 'welcome' as const };
  const joiner = { keyPackageRef: new Uint8Array(32), joinerInfo: new Uint8Array(4) };
  const mlsMessage = new TextEncoder().encode('welcome');
  const extra = encodeGroupEvent({ ...head, mlsMessage, joiner });
  const { recipients, groupEvent } = fanOutTo([handle, otherHandle], message(groupId, 'shared'));
  const [first, second] = recipients;
  if (first === undefined || second === undefined) throw new Error('two recipients were given');
  await send(world, [
    busEvent(groupId, 1, { recipients: [first, { ...second, extra }], groupEvent }),
  ]);
  expect(await read()).toEqual(['shared']);
  expect(words((await readAll(world, other)).items)).toEqual(['welcome']);
  expect(client.id.domain).toBe(domain);
});

test('the statements of a batch are as many for 20 recipients as for one', async () => {
  const groupId = newGroup();
  const handles = await Promise.all(
    Array.from({ length: 20 }, async () => bound(world, await newClient(world), groupId)),
  );
  const statementsOf = async (n: number, to: readonly Uint8Array[]): Promise<number> => {
    const before = world.database.statements;
    await send(world, [busEvent(groupId, n, fanOutTo(to, message(groupId, 'x')))]);
    return world.database.statements - before;
  };
  expect(await statementsOf(1, handles.slice(0, 1))).toBe(await statementsOf(2, handles));
});
