// The bus and the bells over a real NATS.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { NatsBell } from '@roost/bus/nats-bell';
import { NatsBus } from '@roost/bus/nats-bus';
import type { NatsUser } from '@roost/bus/nats-users';
import { sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { until } from '@roost/testing/until';
import { batch, busKey, Cluster, MIB, newPrefix, settled, soon } from './nats.fixture.ts';

const secretKey = crypto.random(32);
let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.open();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

test('a batch reaches one replica, and its answer comes back; those who serve share the work', async () => {
  const took = [0, 0];
  const { bus } = await cluster.bus(
    ...took.map((_, at) => async (bytes: Uint8Array) => {
      took[at] = (took[at] ?? 0) + 1;
      return Uint8Array.of(...bytes, at);
    }),
  );
  for (let partition = 0; partition < 40; partition++) {
    const answer = await bus.request(partition % 16, batch, soon);
    expect(answer.subarray(0, -1)).toEqual(batch);
  }
  expect(Math.min(...took)).toBeGreaterThan(5);
  expect((took[0] ?? 0) + (took[1] ?? 0)).toBe(40);
});

test('what a replica that ended was to do, another does', async () => {
  const echo = async (bytes: Uint8Array): Promise<Uint8Array> => bytes;
  const { bus, replicas } = await cluster.bus(echo, echo);
  await replicas[0]?.nats[Symbol.asyncDispose]();
  await settled();
  for (let partition = 0; partition < 16; partition++) {
    expect(await bus.request(partition, batch, soon)).toEqual(batch);
  }
});

test('where nobody serves, the sender hears so at once', async () => {
  const { bus } = await cluster.bus();
  const began = performance.now();
  await expect(bus.request(0, batch, soon)).rejects.toThrow('nobody serves');
  await expect(bus.request(0, batch, soon)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  expect(performance.now() - began).toBeLessThan(2_000);
});

test('a handshake of the largest kind crosses, in a batch with others', async () => {
  const { bus } = await cluster.bus(async (bytes) => bytes);
  const large = crypto.random(5 * MIB);
  expect(Buffer.compare(await bus.request(0, large, soon), large)).toBe(0);
});

test('what fails at the receiver, is late or is given up, ends so', async () => {
  const { bus } = await cluster.bus(async (bytes) => {
    if (bytes.length === 1) throw new Error('it is broken');
    return await new Promise(() => {});
  });
  const failed = bus.request(0, Uint8Array.of(1), soon);
  await expect(failed).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  await expect(failed).rejects.toThrow('could not take it');
  await expect(bus.request(0, batch, { timeoutMs: 30 })).rejects.toThrow('no answer');
  const abort = new AbortController();
  const given = bus.request(0, batch, { ...soon, signal: abort.signal });
  abort.abort();
  await expect(given).rejects.toThrow('given up');
});

test('what has no tag of the sender is not handled, and a made-up answer is not believed', async () => {
  let handled = 0;
  const { bus, prefix, nats } = await cluster.bus(async (bytes) => {
    handled++;
    return bytes;
  });
  const subject = `${prefix}.fanout.0`;
  const connection = nats.here();
  for (const forged of [crypto.random(400), crypto.random(5), new Uint8Array(0)]) {
    const answer = await connection?.request(subject, forged, { timeout: 5_000 });
    expect(answer?.headers?.has('roost-failed')).toBe(true);
  }
  const stranger = new NatsBus(nats, crypto.random(32));
  await expect(stranger.request(0, batch, soon)).rejects.toThrow('could not take it');
  expect(handled).toBe(0);
  expect(await bus.request(0, batch, soon)).toEqual(batch);

  const liar = newPrefix();
  const raw = await cluster.raw('qs', liar);
  const callback = (_: Error | null, message: { respond(data: Uint8Array): boolean }): void =>
    void message.respond(crypto.random(200));
  raw.subscribe(`${liar}.fanout.*`, { queue: 'qs', callback });
  await settled();
  const sender = new NatsBus(await cluster.connected('ds', liar), busKey);
  await expect(sender.request(0, batch, soon)).rejects.toThrow('not of the receiver');
});

test('a replica works on so much at once and sends back what is too much', async () => {
  const go = Promise.withResolvers<void>();
  let most = 0;
  let running = 0;
  const { bus } = await cluster.bus(async (bytes) => {
    most = Math.max(most, ++running);
    await go.promise;
    running--;
    return bytes;
  });
  const asked = Array.from({ length: 100 }, (_, at) => bus.request(at % 16, batch, soon));
  const refused = asked.map((each) => each.then(() => 0).catch(() => 1));
  await Promise.race(refused);
  go.resolve();
  const outcomes: number[] = await Promise.all(refused);
  expect(most).toBe(16);
  expect(outcomes.reduce((sum, each) => sum + each)).toBe(100 - 16 - 32);
});

test('closing answers what was taken, and what comes later nobody takes', async () => {
  const go = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const { bus, replicas } = await cluster.bus(async (bytes) => {
    began.resolve();
    await go.promise;
    return bytes;
  });
  const asked = bus.request(0, batch, soon);
  await began.promise;
  const closing = replicas[0]?.served.close();
  await until(async () => {
    const late = bus.request(1, batch, { timeoutMs: 200 });
    return await late.then(
      () => false,
      (error: unknown) => String(error).includes('nobody serves'),
    );
  });
  go.resolve();
  expect(await asked).toEqual(batch);
  await closing;
});

test('a ring wakes who listens in another process; whether somebody does can be asked', async () => {
  const prefix = newPrefix();
  const [one, two] = [await cluster.connected('qs', prefix), await cluster.connected('qs', prefix)];
  const options = { service: 'qs', secretKey };
  const [here, there] = [new NatsBell(one, options), new NatsBell(two, options)];
  const other = new NatsBell(one, { ...options, secretKey: crypto.random(32) });
  expect(await here.isHeard('queue.1')).toBe(false);
  const woken: string[] = [];
  const first = there.listen('queue.1', () => woken.push('first'));
  const second = there.listen('queue.1', () => woken.push('second'));
  there.listen('queue.2', () => woken.push('other'));
  await until(async () => await here.isHeard('queue.1'));
  expect(await there.isHeard('queue.1')).toBe(true);
  // Asking does not ring, nor does whoever has another secret.
  other.ring('queue.1');
  here.ring('queue.1');
  await until(() => woken.length > 1);
  expect(woken).toEqual(['first', 'second']);
  first.close();
  first.close();
  expect(await here.isHeard('queue.1')).toBe(true);
  second.close();
  await until(async () => !(await here.isHeard('queue.1')));
});

test('what is rung for stands in no subject', async () => {
  const prefix = newPrefix();
  const bell = new NatsBell(await cluster.connected('qs', prefix), { service: 'qs', secretKey });
  const spy = await cluster.raw('qs', prefix);
  const subjects: string[] = [];
  spy.subscribe(`${prefix}.bell.qs.*`, {
    callback: (_, { subject }) => void subjects.push(subject),
  });
  await spy.flush();
  await settled();
  bell.ring('queue.4711.bell');
  await until(() => subjects.length > 0);
  expect(subjects.join()).toMatch(new RegExp(`^${prefix}\\.bell\\.qs\\.[A-Za-z0-9_-]{43}$`));
});

test('each user may do what is its own, and nothing else', async () => {
  const prefix = newPrefix();
  const denied = async (user: NatsUser, act: 'hear' | 'say', subject: string, queue?: string) => {
    const connection = await cluster.raw(user, prefix);
    const errors: string[] = [];
    const watching = (async () => {
      for await (const status of connection.status()) {
        if (status.type === 'error') errors.push(status.error.name);
      }
    })();
    if (act === 'say') connection.publish(`${prefix}.${subject}`, batch);
    else {
      const callback = (error: Error | null): void => void (error && errors.push(error.name));
      connection.subscribe(`${prefix}.${subject}`, {
        callback,
        ...(queue === undefined ? {} : { queue }),
      });
    }
    await connection.flush();
    await sleep(20);
    await connection.close();
    await watching;
    return errors.includes('PermissionViolationError');
  };
  const bell = 'bell.qs.AAAA';
  expect(await denied('ds', 'say', 'fanout.0')).toBe(false);
  expect(await denied('ds', 'hear', 'fanout.0')).toBe(true);
  expect(await denied('ds', 'hear', 'bell.qs.*')).toBe(true);
  expect(await denied('ds', 'hear', '>')).toBe(true);
  expect(await denied('ds', 'say', bell)).toBe(true);
  expect(await denied('qs', 'hear', 'fanout.*', 'qs')).toBe(false);
  expect(await denied('qs', 'hear', 'fanout.*')).toBe(true);
  expect(await denied('qs', 'say', 'fanout.0')).toBe(true);
  expect(await denied('qs', 'say', bell)).toBe(false);
  expect(await denied('qs', 'hear', 'inbox.ds.>')).toBe(true);
  expect(await denied('as', 'hear', 'fanout.*', 'qs')).toBe(true);
  expect(await denied('as', 'say', 'fanout.0')).toBe(true);
  expect(await denied('as', 'hear', 'bell.qs.*')).toBe(true);
  expect(await denied('as', 'hear', 'bell.as.*')).toBe(false);
  const [gateway, remote] = ['federation-gateway', 'federate.0'] as const;
  expect(await denied('ds', 'say', remote)).toBe(false);
  expect(await denied(gateway, 'hear', 'federate.*', 'gateway')).toBe(false);
  expect(await denied(gateway, 'hear', 'federate.*')).toBe(true);
  expect(await denied(gateway, 'say', remote)).toBe(true);
  expect(await denied(gateway, 'hear', 'fanout.*', 'qs')).toBe(true);
  expect(await denied(gateway, 'say', 'fanout.0')).toBe(false);
  expect(await denied(gateway, 'hear', 'bell.federation-gateway.*')).toBe(false);
  expect(await denied(gateway, 'hear', 'bell.qs.*')).toBe(true);
  expect(await denied('qs', 'hear', 'federate.*', 'gateway')).toBe(true);
});

test('what is for other homeservers goes to a gateway, and what is for our own to the QS', async () => {
  const { nats, bus, prefix } = await cluster.bus(async () => Uint8Array.of(1));
  const gateway = await cluster.connected('federation-gateway', prefix);
  new NatsBus(gateway, busKey, 'federation').serve(async () => Uint8Array.of(2));
  await settled();
  const remote = new NatsBus(nats, busKey, 'federation');
  for (let partition = 0; partition < 4; partition++) {
    expect(await bus.request(partition, batch, soon)).toEqual(Uint8Array.of(1));
    expect(await remote.request(partition, batch, soon)).toEqual(Uint8Array.of(2));
  }
});

test('who gives a wrong password stays outside, and comes in once it is right', async () => {
  const sentences: string[] = [];
  const changed = (sentence: string): void => void sentences.push(sentence);
  const nats = cluster.natsOf('ds', newPrefix(), { password: 'wrong', changed });
  await until(() => sentences.length > 0);
  expect(nats.isThere()).toBe(false);
  expect(nats.why()).toContain('AuthorizationError');
  await expect(new NatsBus(nats, busKey).request(0, batch, soon)).rejects.toThrow('NATS is away');
  await nats[Symbol.asyncDispose]();
});

test('servers that carry less than we send are not used, and a sentence says what to set', async () => {
  const nats = cluster.natsOf('ds', newPrefix(), { payloadBytesMax: 9 * MIB });
  await until(() => nats.why()?.includes('max_payload') === true);
  expect(nats.why()).toMatch(/its max_payload is 8388608.*set it to/);
  expect(nats.isThere()).toBe(false);
});
