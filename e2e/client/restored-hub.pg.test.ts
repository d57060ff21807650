// A hub alone was restored from a backup: its groups are at epochs that their members left. Whoever was
// removed since is in again, as far as the hub knows.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AllInOne } from '@roost/e2e/all-in-one';
import { befriend, Person } from '@roost/e2e/person';

const TABLES = ['groups', 'rosters', 'states', 'join_infos', 'log', 'accepted', 'outbox_heads'];

let world: AllInOne;
let folder: string;

beforeAll(async () => {
  world = await AllInOne.open();
  folder = await mkdtemp(join(tmpdir(), 'roost-hub-'));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const hub = async (text: string): Promise<unknown> => await world.databases.ds.query({ text });

test('members of a restored group come back, and put out again whom they had removed before they speak', async () => {
  const come = (name: string): Promise<Person> => Person.come(name, { ...world.door, folder });
  await using ann = await come('ann');
  await using ben = await come('ben');
  await using kim = await come('kim');
  await befriend(ann, ben);
  await befriend(ann, kim);
  const chat = await ann.client.createGroup('garden', ['ben', 'kim']);
  for (const who of [ben, kim]) await who.until('joined', (event) => event.chat === chat);
  const say = async (who: Person, words: string): Promise<void> => {
    await (
      await who.client.send(chat, words)
    ).sent;
  };
  await say(ann, 'all three');
  for (const who of [ben, kim]) await who.hears('all three');

  for (const table of TABLES) await hub(`CREATE TABLE backup_${table} AS TABLE ${table}`);
  await ann.client.remove(chat, 'kim');
  await kim.until('gone', (event) => event.chat === chat);
  await say(ann, 'two of us');
  await ben.hears('two of us');

  await world.stop();
  await hub('DELETE FROM outbox');
  for (const table of TABLES.toReversed()) await hub(`DELETE FROM ${table}`);
  for (const table of TABLES) await hub(`INSERT INTO ${table} SELECT * FROM backup_${table}`);
  world.incarnation = 2;
  await world.start();

  // Nobody was told: who speaks first finds out.
  await say(ann, 'are you there?');
  await ben.until('returned', (event) => event.chat === chat);
  for (let number = 1; ; number++) {
    const words = `again, ${number}`;
    await say(ann, words);
    const heard = await ben
      .until('message', ({ text }) => text === words, 5_000)
      .catch(() => undefined);
    if (heard !== undefined) break;
  }
  expect(kim.texts()).toEqual(['all three']);
  const members = ann.client.members(chat).map(({ name }) => name.split('@')[0] ?? '');
  expect(members.toSorted()).toEqual(['ann', 'ben']);
}, 300_000);
