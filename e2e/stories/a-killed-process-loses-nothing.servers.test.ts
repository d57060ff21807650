// Invariants 2 and 11 with separate services: every replica of every service is killed in its turn while two
// people talk; the other one serves on, and the killed one comes back.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Dialogue } from '@roost/e2e/dialogue';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { SERVICES } from '@roost/e2e/servers/environment';

let world: Homeserver;
beforeAll(async () => {
  world = await Homeserver.open();
});
afterAll(async () => await world[Symbol.asyncDispose]());

test('one replica after the other', async () => {
  await using dialogue = await Dialogue.open(world.door, ['kurt', 'kate']);
  for (const each of world.processes.values()) {
    await sleep(300 + Math.random() * 500);
    await each.kill();
    await each.start();
  }
  const { heard, said } = await dialogue.end();
  expect(heard).toEqual(said);
});

test('both replicas of a service, and all services, at once', async () => {
  await using dialogue = await Dialogue.open(world.door, ['karl', 'kira']);
  for (const service of SERVICES) {
    await sleep(300 + Math.random() * 500);
    await Promise.all(world.of(service).map((each) => each.kill()));
    await world.start();
  }
  await sleep(300 + Math.random() * 500);
  await Promise.all([...world.processes.values()].map((each) => each.kill()));
  await world.start();
  const { heard, said } = await dialogue.end();
  expect(heard).toEqual(said);
});
