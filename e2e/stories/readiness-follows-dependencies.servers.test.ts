// A process that lost what it depends on says so and stays alive; when it is back, the process serves on by itself.
// Only the database takes a process out of service; what else is away is named, and done without.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Ground } from '@roost/e2e/servers/ground';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { connectTwo, Witness } from '@roost/e2e/witness';

let ground: Ground;
let world: Homeserver;
beforeAll(async () => {
  ground = await Ground.open();
  world = await Homeserver.open({ ground: ground.addresses, replicas: 1 });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await ground[Symbol.asyncDispose]();
});

type Statuses = Record<string, number>;

/** Waits until the processes answer so on `/readyz`; returns what they say. */
async function untilReadiness(wanted: Statuses): Promise<Record<string, string>> {
  const bodies: Record<string, string> = {};
  for (let waited = 0; ; waited += 100) {
    const found: Statuses = {};
    for (const name of Object.keys(wanted)) {
      const { status, body } = await world.process(name).readiness();
      [found[name], bodies[name]] = [status, body];
    }
    if (JSON.stringify(found) === JSON.stringify(wanted)) return bodies;
    if (waited > 30_000) expect(found).toEqual(wanted);
    await sleep(100);
  }
}

/** Waits until a process says this, among other things, on `/readyz`. */
async function untilSays(name: string, words: string): Promise<void> {
  for (let waited = 0; ; waited += 100) {
    const { body } = await world.process(name).readiness();
    if (words === 'ready\n' ? body === words : body.includes(words)) return;
    if (waited > 30_000) expect([name, body]).toEqual([name, words]);
    await sleep(100);
  }
}

async function expectAlive(): Promise<void> {
  for (const each of world.processes.values()) {
    expect([each.name, (await each.ask('/livez')).status]).toEqual([each.name, 200]);
  }
}

const READY = { 'as-1': 200, 'aas-1': 200, 'qs-1': 200, 'ds-1': 200 };

test('without PostgreSQL nobody is ready, and all are again when it is back', async () => {
  await untilReadiness(READY);
  await ground.postgres.kill();
  const bodies = await untilReadiness({ 'as-1': 503, 'aas-1': 503, 'qs-1': 503, 'ds-1': 503 });
  for (const body of Object.values(bodies)) expect(body).toContain('database');
  await expectAlive();
  await ground.postgres.start();
  await untilReadiness(READY);
});

test('without NATS those that use it say so, and take calls: what is accepted is kept', async () => {
  await using rosa = await Witness.come(world.door, 'rosa');
  await using remy = await Witness.come(world.door, 'remy');
  const chat = await connectTwo(rosa, remy);
  await ground.nats.stop();
  for (const name of ['as-1', 'qs-1', 'ds-1']) await untilSays(name, 'away: nats');
  await expectAlive();
  const { sent } = await rosa.client.send(chat, 'while it is away');
  await sent;
  await ground.nats.start();
  await remy.hears('while it is away');
  for (const name of ['as-1', 'qs-1', 'ds-1']) await untilSays(name, 'ready\n');
});

test('without Redis, or where it does not answer, the AAS says so at once, and takes calls', async () => {
  const trouble: [() => unknown, () => unknown][] = [
    [() => ground.valkey.stop(), () => ground.valkey.start()],
    [() => ground.valkey.freeze(), () => ground.valkey.thaw()],
  ];
  for (const [begin, end] of trouble) {
    await begin();
    await untilSays('aas-1', 'away: redis');
    const began = performance.now();
    const { status } = await world.process('aas-1').readiness();
    expect([status, performance.now() - began < 1_500]).toEqual([200, true]);
    await expectAlive();
    await end();
    await untilSays('aas-1', 'ready\n');
  }
});

test('without the AS the AAS says so', async () => {
  await world.process('as-1').kill();
  await untilSays('aas-1', 'away: as');
  await world.process('as-1').start();
  await untilSays('aas-1', 'ready\n');
});

test('after all of it people talk without a restart', async () => {
  await using rolf = await Witness.come(world.door, 'rolf');
  await using rika = await Witness.come(world.door, 'rika');
  const chat = await connectTwo(rolf, rika);
  await (
    await rolf.client.send(chat, 'all is well')
  ).sent;
  await rika.hears('all is well');
});
