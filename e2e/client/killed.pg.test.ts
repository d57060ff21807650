import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Clock, sleep } from '@roost/core/time';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';

const folder = mkdtempSync(join(tmpdir(), 'roost-client-'));
let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function come(name: string, clock?: Clock): Promise<Person> {
  const place = { ...world.door, folder };
  return Person.come(name, clock === undefined ? place : { ...place, clock });
}

test('killed at any instant, again and again, a client loses and doubles nothing', async () => {
  const COUNT = 40;
  const KILLS = 12;
  await using zoe = await come('zoe');
  let chat = '';
  {
    await using abel = await come('abel');
    chat = await befriend(zoe, abel);
    await zoe.until('connected');
  }
  const sending = (async () => {
    for (let at = 0; at < COUNT; at++) {
      await zoe.client.send(chat, `zoe ${at}`);
      await sleep(60);
    }
  })();
  const script = join(import.meta.dirname, 'talker.fixture.ts');
  const args = [
    '--no-warnings',
    script,
    join(folder, 'abel'),
    JSON.stringify(world.door),
    'abel',
    String(COUNT),
  ];
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const afterMs = 350 + Math.random() * 450;
    await Promise.race([once(child, 'exit'), sleep(afterMs)]);
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  const last = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(last, 'exit');
  await sending;
  await zoe.hears(`abel ${COUNT - 1}`);

  const numbered = (name: string) => Array.from({ length: COUNT }, (_, at) => `${name} ${at}`);
  expect(zoe.texts()).toEqual(numbered('abel'));
  await using abel = await come('abel');
  const kept = await abel.client.history(chat, 1_000);
  const of = (isOwn: boolean) =>
    kept.filter((line) => line.isOwn === isOwn).map(({ text }) => text);
  expect(of(true)).toEqual(numbered('abel'));
  expect(of(false)).toEqual(numbered('zoe'));
});
