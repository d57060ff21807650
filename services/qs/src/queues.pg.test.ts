import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { DAY_MS, sleep } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import type { ListenResponse } from '@roost/proto/roost/queue/v1/queue';
import { until } from '@roost/testing/until';
import { dump } from './dump.fixture.ts';
import {
  bound,
  busEvent,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openRuns,
  openWorld,
  readAll,
  send,
  words,
  type TestClient,
  type World,
} from './world.fixture.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** A client and a way to send it numbered messages. */
async function scene(within: World = world) {
  const [client, groupId] = [await newClient(within), newGroup()];
  const handle = await bound(within, client, groupId);
  let last = 0;
  const deliver = async (count = 1): Promise<void> => {
    const events = Array.from({ length: count }, (_, at) => {
      const n = last + at + 1;
      return busEvent(groupId, n, fanOutTo([handle], message(groupId, `message ${n}`)));
    });
    last += count;
    await send(within, events);
  };
  return { client, groupId, handle, deliver };
}

const said = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => `message ${from + at}`);

function dequeue(client: TestClient, fromSequence: bigint, max = 0, within: World = world) {
  return within.client.dequeue({ fromSequence, max }, { sign: client.sign });
}

/** An open stream, and what has come over it. */
function listen(client: TestClient, fromSequence = 0n, within: World = world) {
  const abort = new AbortController();
  const { signal } = abort;
  const stream = within.client.listen({ fromSequence }, { sign: client.sign, signal });
  const responses = stream[Symbol.asyncIterator]();
  const next = async (): Promise<ListenResponse> => {
    const { value, done } = await responses.next();
    if (done === true) throw new Error('the stream has ended');
    return value;
  };
  return { next, stop: () => abort.abort() };
}

test('a queue is dense and in order, whatever it is read in', async () => {
  const { client, deliver } = await scene();
  for (const count of [1, 3, 1, 2]) await deliver(count);
  const { runs, remaining } = await dequeue(client, 0n);
  expect(remaining).toBe(0n);
  let next = 0n;
  for (const { firstSequence, count } of runs) {
    expect(firstSequence).toBe(next);
    next += BigInt(count);
  }
  expect(next).toBe(8n);
  expect(words(openRuns(client, runs).items)).toEqual(said(1, 7));

  const first = await dequeue(client, 0n, 2);
  expect(first.runs.map(({ count }) => count)).toEqual([1, 1]);
  expect(first.remaining).toBe(6n);
  const inside = await dequeue(client, 3n, 1);
  expect(inside.runs.map(({ firstSequence, count }) => [firstSequence, count])).toEqual([[2n, 3]]);
  expect(inside.remaining).toBe(3n);
});

test('an acknowledgement deletes what lies wholly below, of its own queue alone', async () => {
  const [mine, other] = [await scene(), await scene()];
  await mine.deliver(3);
  await mine.deliver(2);
  await other.deliver(5);
  await world.client.ack({ belowSequence: 3n }, { sign: mine.client.sign });
  const { runs } = await dequeue(mine.client, 0n);
  expect(runs.map(({ firstSequence }) => firstSequence)).toEqual([1n, 4n]);
  await world.client.ack({ belowSequence: 4n }, { sign: mine.client.sign });
  await world.client.ack({ belowSequence: 2n }, { sign: mine.client.sign });
  const left = await dequeue(mine.client, 0n);
  expect(left.runs.map(({ firstSequence }) => firstSequence)).toEqual([4n]);
  expect(words((await readAll(world, other.client)).items)).toEqual(said(1, 5));
});

test('nobody acknowledges or reads beyond the end of a queue', async () => {
  const { client, deliver } = await scene();
  await deliver();
  const acking = world.client.ack({ belowSequence: 3n }, { sign: client.sign });
  await expect(acking).rejects.toMatchObject({ reason: 'MALFORMED' });
  await expect(dequeue(client, 2n ** 64n - 1n)).rejects.toMatchObject({ reason: 'MALFORMED' });
  expect(words((await readAll(world, client)).items)).toEqual(['message 1']);
});

test('what is not acknowledged survives a restart, and the ratchet goes on', async () => {
  await using own = await openWorld();
  const { client, deliver } = await scene(own);
  await deliver(2);
  const before = await readAll(own, client);
  await own.restart();
  await deliver(2);
  const { runs } = await dequeue(client, before.reader.next, 0, own);
  expect(words(openRuns(client, runs, before.reader).items)).toEqual(said(3, 4));
});

test('a secret refreshes the ratchet after so many runs', async () => {
  await using own = await openWorld({ runsPerSecret: 2 });
  const { client, deliver } = await scene(own);
  for (let count = 0; count < 5; count++) await deliver();
  const { runs } = await dequeue(client, 0n, 0, own);
  expect(runs.map(({ ciphertext }) => ciphertext[0])).toEqual([1, 2, 2, 1, 2, 2, 1, 2]);
  expect(words(openRuns(client, runs).items)).toEqual(said(1, 5));
});

test('no state that opens an earlier run is in the database', async () => {
  const { client, deliver } = await scene();
  const ratchetsOf = async () => {
    const rows = await world.database.query<{ ratchet: Uint8Array }>({
      text: 'SELECT ratchet FROM queues',
    });
    return rows.map(({ ratchet }) => toHex(ratchet));
  };
  await deliver();
  const { reader } = await readAll(world, client);
  const before = await ratchetsOf();
  await deliver();
  const after = await ratchetsOf();
  expect(before.filter((ratchet) => !after.includes(ratchet))).toHaveLength(1);
  expect(await dump(world.database)).not.toContain(toHex(reader.state));
});

test('a full queue takes one gap marker and no more, until it is acknowledged', async () => {
  await using own = await openWorld({ queueCountMax: 4, welcomeHeadroom: 2 });
  const { client, deliver } = await scene(own);
  await deliver(5);
  await deliver(2);
  const first = await readAll(own, client);
  expect(words(first.items)).toEqual([...said(1, 3), 'gap of 2']);
  await own.client.ack({ belowSequence: 3n }, { sign: client.sign });
  await deliver(3);
  const { runs } = await dequeue(client, 5n, 0, own);
  expect(words(openRuns(client, runs, first.reader).items)).toEqual([
    'message 8',
    'message 9',
    'gap of 1',
  ]);
});

test('messages that do not fit into one answer are cut into runs', async () => {
  const { client, groupId, handle } = await scene();
  const large = 'x'.repeat(250_000);
  const fanOut = fanOutTo([handle], message(groupId, large));
  await send(
    world,
    [1, 2, 3, 4, 5, 6].map((n) => busEvent(groupId, n, fanOut)),
  );
  const page = await dequeue(client, 0n);
  expect(page.remaining).toBe(2n);
  expect(words((await readAll(world, client)).items)).toEqual(
    Array.from({ length: 6 }, () => large),
  );
});

test('a listener gets what is there and then what comes, in order', async () => {
  const { client, deliver } = await scene();
  await deliver(2);
  const ear = listen(client);
  const there = await ear.next();
  const opened = openRuns(client, there.runs);
  expect(words(opened.items)).toEqual(said(1, 2));
  await deliver();
  await deliver(2);
  const came = [...(await ear.next()).runs, ...(await ear.next()).runs];
  expect(words(openRuns(client, came, opened.reader).items)).toEqual(said(3, 5));
  ear.stop();
});

test('what was just stored is handed over without being read back', async () => {
  const { client, deliver } = await scene();
  const ear = listen(client);
  await ear.next();
  // The listener reads once more to find that nothing is left.
  await settled();
  const before = world.database.statements;
  await deliver();
  const stored = world.database.statements - before;
  expect((await ear.next()).runs).toHaveLength(1);
  await settled();
  expect(world.database.statements - before).toBe(stored);
  ear.stop();
});

/** Waits until nothing more is asked of the database. */
async function settled({ database }: World = world): Promise<void> {
  for (let before = -1; before !== database.statements;) {
    before = database.statements;
    await sleep(150);
  }
}

test('opening a listener acknowledges, and a replayed opening is refused', async () => {
  const { client, deliver } = await scene();
  await deliver(2);
  const ear = listen(client, 3n);
  await until(async () => {
    const text = 'SELECT 1 FROM nonces LIMIT 1';
    return (await world.database.query({ text })).length === 1;
  });
  expect((await dequeue(client, 3n)).runs).toEqual([]);
  ear.stop();
});

test('a newer listener takes over, and the older one hears so', async () => {
  const { client, deliver } = await scene();
  const older = listen(client);
  await older.next();
  const newer = listen(client, 1n);
  const heard = newer.next();
  await expect(older.next()).rejects.toMatchObject({ reason: 'LISTENER_REPLACED' });
  await deliver();
  expect((await heard).runs).toHaveLength(1);
  newer.stop();
});

test('a listener in another process is replaced, and woken by the bell or the slow poll', async () => {
  await using own = await openWorld({ pollMs: 50 });
  const { client, deliver } = await scene(own);
  const ear = listen(client, 0n, own);
  await ear.next();
  // As another process would store: nobody here is told.
  const { database } = own;
  await deliver();
  expect((await ear.next()).runs).toHaveLength(1);
  await database.query({ text: 'UPDATE queues SET listener = listener + 1' });
  await expect(ear.next()).rejects.toMatchObject({ reason: 'LISTENER_REPLACED' });
});

test('an idle listener hears keep-alives, and at a drain when to connect again', async () => {
  const own = await openWorld({ keepAliveMs: 50, drainMs: 100, reconnectWithinMs: 4_000 });
  const { client } = await scene(own);
  const ear = listen(client, 1n, own);
  expect(await ear.next()).toEqual({ runs: [], reconnectWithinMs: 0 });
  const closed = own[Symbol.asyncDispose]();
  const notice = await ear.next();
  expect(notice).toEqual({ runs: [], reconnectWithinMs: 4_000 });
  const end = (async () => {
    for (;;) await ear.next();
  })();
  await expect(end).rejects.toMatchObject({ reason: 'DRAINING' });
  await closed;
});

test('a listener that does not read is not kept in memory, and gets everything when it does', async () => {
  const { client, groupId, handle } = await scene();
  const ear = listen(client);
  await ear.next();
  const large = 'x'.repeat(200_000);
  for (let n = 1; n <= 40; n++) {
    await send(world, [busEvent(groupId, n, fanOutTo([handle], message(groupId, large)))]);
  }
  let received = 0;
  while (received < 40) received += (await ear.next()).runs.length;
  expect(received).toBe(40);
  ear.stop();
});

test('messages older than their time are dropped with a gap marker, and the reader goes on', async () => {
  await using own = await openWorld({ sweepMs: 20 });
  const { client, deliver } = await scene(own);
  const ahead = await readAll(own, client);
  await deliver(3);
  own.clock.advance(91 * DAY_MS);
  const values = [Math.floor(own.clock.now() / DAY_MS) - 1];
  await until(async () => {
    const text = 'SELECT FROM runs WHERE stored_day < $1';
    return (await own.database.query({ text, values })).length === 0;
  });
  await deliver();
  const { runs } = await dequeue(client, ahead.reader.next, 0, own);
  expect(runs[0]?.firstSequence).toBe(4n);
  expect(words(openRuns(client, runs, ahead.reader).items)).toEqual(['gap of 3', 'message 4']);
});

test('neither group ids nor user ids nor handles are in any table or log', async () => {
  await using own = await openWorld();
  const { client, groupId, handle, deliver } = await scene(own);
  await deliver(3);
  await send(own, [
    { ...busEvent(groupId, 4, fanOutTo([handle], message(groupId, 'x'))), sealed: utf8('y') },
  ]);
  await own.client.ack({ belowSequence: 2n }, { sign: client.sign });
  const user = await newUser(own);
  const seen = (await dump(own.database)) + JSON.stringify(own.logged, hide);
  const uuid = groupId.uuid.replaceAll('-', '');
  for (const secret of [groupId.uuid, uuid, toHex(handle), toHex(utf8(groupId.uuid))]) {
    expect(seen).not.toContain(secret);
  }
  expect(JSON.stringify(own.logged, hide)).not.toContain(user.id.uuid);
  expect(seen).toContain(toHex(nodeCrypto.sha256(handle)));
});

function hide(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
