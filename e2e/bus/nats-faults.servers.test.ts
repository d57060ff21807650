// The bus and the bells while servers of NATS are killed, frozen and started again.
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { NatsBell } from '@roost/bus/nats-bell';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { until } from '@roost/testing/until';
import { batch, Cluster, MIB, settled, soon } from './nats.fixture.ts';

const secretKey = crypto.random(32);
let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.open();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

test('a replica that reads no more is left by the servers, and others take its part', async () => {
  const { bus, prefix } = await cluster.bus(async () => batch);
  const port = Number(cluster.servers.servers[0]?.split(':')[1]);
  const deaf = dial(port, '127.0.0.1');
  await once(deaf, 'connect');
  deaf.pause();
  deaf.on('error', () => {});
  const who = { verbose: false, user: 'qs', pass: cluster.servers.passwords['qs'], headers: true };
  deaf.write(`CONNECT ${JSON.stringify(who)}\r\nSUB ${prefix}.fanout.* qs 1\r\nPING\r\n`);
  await settled();
  const large = new Uint8Array(4 * MIB);
  let failures = 0;
  let row = 0;
  while (row < 12) {
    const isTaken = await bus.request(0, large, { timeoutMs: 1_500 }).then(
      () => true,
      () => false,
    );
    row = isTaken ? row + 1 : 0;
    if (!isTaken) failures++;
    expect(failures).toBeLessThan(40);
  }
  expect(failures).toBeGreaterThan(0);
  deaf.destroy();
});

test('when a server dies, what was asked is refused at once, and asked again elsewhere', async () => {
  const { bus, nats, replicas } = await cluster.bus(async (bytes) => {
    if (bytes.length === 1) return await new Promise(() => {});
    return bytes;
  });
  const number = cluster.numberOf(nats);
  const heard: string[] = [];
  const bell = new NatsBell(cluster.natsOf('qs', nats.prefix), { service: 'qs', secretKey });
  bell.listen('queue', () => heard.push('rung'));
  const asked = bus.request(0, Uint8Array.of(1), { timeoutMs: 60_000 });
  asked.catch(() => {});
  await settled();
  await cluster.servers.kill(number);
  await expect(asked).rejects.toThrow('NATS was lost');
  await until(() => nats.isThere() && replicas[0]?.nats.isThere() === true);
  await until(
    async () =>
      await bus
        .request(0, batch, soon)
        .then((b) => b.length > 1)
        .catch(() => false),
  );
  const ringer = new NatsBell(await cluster.connected('qs', nats.prefix), {
    service: 'qs',
    secretKey,
  });
  await until(() => {
    ringer.ring('queue');
    return heard.length > 0;
  });
  await cluster.servers.start(number);
});

test('when all servers go and come back, nothing is kept for them, and all goes on', async () => {
  const { bus, nats } = await cluster.bus(async (bytes) => bytes);
  await cluster.servers.kill();
  await until(() => !nats.isThere());
  await expect(bus.request(0, batch, soon)).rejects.toThrow('NATS is away');
  const late = cluster.natsOf('ds', nats.prefix);
  await cluster.servers.start();
  await until(
    async () =>
      await bus
        .request(0, batch, soon)
        .then(() => true)
        .catch(() => false),
  );
  await until(() => late.isThere());
});

test('a server that freezes is left for another within seconds', async () => {
  const { bus, nats } = await cluster.bus(async (bytes) => bytes);
  const number = cluster.numberOf(nats);
  cluster.servers.freeze(number);
  const began = performance.now();
  await until(
    async () =>
      await bus
        .request(0, batch, { timeoutMs: 500 })
        .then(() => true)
        .catch(() => false),
    30_000,
  );
  cluster.servers.thaw(number);
  expect(performance.now() - began).toBeLessThan(20_000);
});
