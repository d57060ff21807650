import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';

/** `ROOST_AWAY=25` makes it 500 commits and 5,000 messages. */
const TIMES = Number(process.env['ROOST_AWAY'] ?? 1);
const COMMITS = 20 * TIMES;
const PER_COMMIT = 10;

const folder = mkdtempSync(join(tmpdir(), 'roost-away-'));
let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

test(
  'one who was away for many commits and messages comes back by its queue and the log alone',
  async () => {
    const come = async (name: string) => Person.come(name, { ...world.door, folder });
    await using ida = await come('ida');
    await using jon = await come('jon');
    let chat = '';
    {
      await using kim = await come('kim');
      await befriend(ida, kim);
      await befriend(ida, jon);
      chat = await ida.client.createGroup('Long', ['kim', 'jon']);
      await kim.until('joined');
    }
    await jon.until('joined');
    const said: string[] = [];
    for (let commit = 1; commit <= COMMITS; commit++) {
      const speaker = commit % 2 === 0 ? ida : jon;
      const sends: Promise<void>[] = [];
      for (let n = 1; n <= PER_COMMIT; n++) {
        said.push(`${commit}.${n}`);
        sends.push((await speaker.client.send(chat, `${commit}.${n}`)).sent);
      }
      await Promise.all(sends);
      await speaker.client.setTitle(chat, `Long ${commit}`);
    }

    const startedMs = performance.now();
    await using kim = await come('kim');
    await kim.until('message', ({ text }) => text === said.at(-1), 60_000 * TIMES);
    const seconds = (performance.now() - startedMs) / 1000;
    process.stdout.write(
      `away: ${COMMITS} commits and ${said.length} messages in ${seconds.toFixed(1)} s\n`,
    );
    await kim.until('title', ({ title }) => title === `Long ${COMMITS}`);
    expect(kim.texts()).toEqual(said);
    expect(kim.events.filter(({ kind }) => kind === 'returned')).toEqual([]);
    await kim.client.send(chat, 'here I am');
    await Promise.all([ida.hears('here I am'), jon.hears('here I am')]);
  },
  240_000 * TIMES,
);
