// Two replicas of the QS over one database, whose bus and bells are NATS.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { firstPair } from '@roost/bus/frames';
import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
import type { GroupId } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { RecordingPush } from '@roost/qs/push.fixture';
import {
  bound,
  busEvent,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openReplica,
  openRuns,
  openWorld,
  pair,
  readAll,
  send,
  words,
  type TestClient,
  type World,
} from '@roost/qs/world.fixture';
import { until } from '@roost/testing/until';
import { busKey, Cluster, newPrefix } from './nats.fixture.ts';

/** Far below the slow polls, which make up for lost rings. */
const SOON_MS = 10_000;
const secretKey = crypto.random(32);
const prefix = newPrefix();
let cluster: Cluster;
let world: World;
/** They share a database; neither of them polls within this test. */
let replicas: [Awaited<ReturnType<typeof openReplica>>, Awaited<ReturnType<typeof openReplica>>];
let ds: NatsBus;

beforeAll(async () => {
  cluster = await Cluster.open();
  // Its own service has nothing to do: it is the database and the clock.
  world = await openWorld({}, new RecordingPush());
  const open = async () => {
    const nats = await cluster.connected('qs', prefix);
    const bell = new NatsBell(nats, { service: 'qs', secretKey });
    return await openReplica(world, { bus: new NatsBus(nats, busKey), bell });
  };
  replicas = [await open(), await open()];
  ds = new NatsBus(await cluster.connected('ds', prefix), busKey);
});
afterAll(async () => {
  await Promise.all(replicas.map((each) => each.close()));
  await world[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

/** An open stream to one of the replicas. */
function listenAt(replica: 0 | 1, { sign }: TestClient, fromSequence = 0n) {
  const abort = new AbortController();
  const { signal } = abort;
  const stream = replicas[replica].client.listen({ fromSequence }, { sign, signal });
  const responses = stream[Symbol.asyncIterator]();
  return {
    next: async () => (await responses.next()).value?.runs ?? [],
    stop: () => abort.abort(),
  };
}

async function scene() {
  const [client, groupId] = [await newClient(world), newGroup()];
  const handle = await bound(world, client, groupId);
  const event = (n: number) =>
    busEvent(groupId, n, fanOutTo([handle], message(groupId, `message ${n}`)));
  return { client, groupId, event };
}

const deliver = (...events: Parameters<typeof send>[1]) => send({ ...world, bus: ds }, events);
const markOf = (answer: Awaited<ReturnType<typeof send>>, { uuid }: GroupId) =>
  answer.marks.find(({ groupId }) => groupId.uuid === uuid)?.mark;

test('what either replica stores wakes a listener at either, at once', async () => {
  const { client, event } = await scene();
  const ear = listenAt(0, client);
  // The secret that a queue begins with.
  expect(await ear.next()).toHaveLength(1);
  await new Promise((resolve) => setTimeout(resolve, 600));
  const took: number[] = [];
  for (let n = 1; n <= 12; n++) {
    const began = performance.now();
    const heard = ear.next();
    await deliver(event(n));
    expect(await heard).toHaveLength(1);
    took.push(performance.now() - began);
  }
  expect(Math.max(...took)).toBeLessThan(SOON_MS);
  ear.stop();
});

test('a newer listener at another replica ends the older one at once, and misses nothing', async () => {
  const { client, event } = await scene();
  const older = listenAt(0, client);
  await older.next();
  const ended = older.next().catch((error: unknown) => error);
  const began = performance.now();
  const newer = listenAt(1, client);
  const first = await newer.next();
  expect(await ended).toMatchObject({ reason: 'LISTENER_REPLACED' });
  expect(performance.now() - began).toBeLessThan(SOON_MS);
  expect(first).toHaveLength(1);
  for (let n = 1; n <= 4; n++) await deliver(event(n));
  let heard = 0;
  while (heard < 4) heard += (await newer.next()).length;
  newer.stop();
});

test('listeners who take over from each other while messages come lose none', async () => {
  const { client, event } = await scene();
  const over = new AbortController();
  const sending = (async () => {
    for (let n = 1; n <= 60; n++) await deliver(event(n));
    over.abort();
  })();
  let ear = listenAt(0, client);
  for (let round = 1; !over.signal.aborted; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    ear = listenAt(round % 2 === 0 ? 0 : 1, client);
  }
  await sending;
  // Whoever came last reads from the beginning, and is told of what was given to others meanwhile.
  let { reader, items } = openRuns(client, await ear.next());
  const said = words(items);
  while (said.length < 60) {
    ({ reader, items } = openRuns(client, await ear.next(), reader));
    said.push(...words(items));
  }
  expect(said).toEqual(Array.from({ length: 60 }, (_, at) => `message ${at + 1}`));
  ear.stop();
});

test('whoever listens to a queue that is deleted at another replica hears so', async () => {
  const owner = await newUser(world);
  const client = await newClient(world, owner);
  const ear = listenAt(0, client);
  await ear.next();
  const ended = ear.next().catch((error: unknown) => error);
  const { uuid, domain } = client.id;
  const qsClientId = { domain, uuid: Buffer.from(uuid.replaceAll('-', ''), 'hex') };
  await replicas[1].client.deleteClient({ qsClientId }, { sign: owner.sign });
  expect(await ended).toMatchObject({ reason: 'QUEUE_UNKNOWN' });
});

test('while NATS is away a listener loses nothing, and hears at once when it is back', async () => {
  const { client, event } = await scene();
  const ear = listenAt(0, client);
  await ear.next();
  await cluster.servers.kill();
  await expect(deliver(event(1))).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  const heard = ear.next();
  await cluster.servers.start();
  const began = performance.now();
  await until(
    async () =>
      await deliver(event(1)).then(
        () => true,
        () => false,
      ),
  );
  expect(await heard).toHaveLength(1);
  expect(performance.now() - began).toBeLessThan(10_000);
  ear.stop();
});

test('repeated, reordered and undecodable deliveries by hand do what the marks say', async () => {
  const { client, groupId, event } = await scene();
  expect(markOf(await deliver(event(2)), groupId)).toEqual(firstPair);
  expect(markOf(await deliver(event(1)), groupId)).toEqual(pair(1));
  expect(markOf(await deliver(event(2), event(1), event(2)), groupId)).toEqual(pair(2));
  const broken = { ...event(3), sealed: crypto.random(100) };
  expect(markOf(await deliver(broken, event(4)), groupId)).toEqual(pair(4));
  const letters = await world.database.query({ text: 'SELECT kind FROM dead_letters' });
  expect(letters).toHaveLength(1);
  expect(words((await readAll(world, client)).items)).toEqual([
    'message 1',
    'message 2',
    'message 4',
  ]);

  // What is no batch at all is refused, and stops nobody.
  await expect(ds.request(0, crypto.random(300), { timeoutMs: 5_000 })).rejects.toThrow(
    'could not take it',
  );
  expect(markOf(await deliver(event(5)), groupId)).toEqual(pair(5));

  // Not the DS: what it sends reaches nobody.
  const intruder = new NatsBus(await cluster.connected('qs', prefix), busKey);
  const forged = send({ ...world, bus: intruder }, [event(6)]);
  await expect(forged).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  expect(markOf(await deliver(event(5)), groupId)).toEqual(pair(5));
});
