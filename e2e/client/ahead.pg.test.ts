// Members who learn of commits by losing to them, or by the log, are ahead of their queues. What was said
// meanwhile still lies there, and is read when it comes.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AllInOne } from '@roost/e2e/all-in-one';
import { CutBus } from '@roost/e2e/cut-bus';
import { befriend, Person } from '@roost/e2e/person';

const TITLES = 6;
const bus = new CutBus();
let world: AllInOne;
let folder: string;

beforeAll(async () => {
  world = await AllInOne.open({ bus });
  folder = await mkdtemp(join(tmpdir(), 'roost-ahead-'));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test('what was said in epochs that all have left by then is heard when the queues go on', async () => {
  const come = (name: string): Promise<Person> => Person.come(name, { ...world.door, folder });
  await using ann = await come('ann');
  await using ben = await come('ben');
  await befriend(ann, ben);
  const chat = await ann.client.createGroup('at first', ['ben']);
  await ben.until('joined', (event) => event.chat === chat);

  bus.isCut = true;
  const said: string[] = [];
  for (let at = 0; at < TITLES; at++) {
    // Each loses to the other's commit, which reached no queue.
    const [by, other] = at % 2 === 0 ? ([ann, ben] as const) : ([ben, ann] as const);
    const words = `${by.name} ${at}`;
    await (
      await by.client.send(chat, words)
    ).sent;
    said.push(words);
    await by.client.setTitle(chat, `title ${at}`);
    await other.client.setTitle(chat, `another ${at}`);
  }
  bus.isCut = false;
  const heard = (by: string): string[] => said.filter((words) => words.startsWith(by));
  await ben.hears(heard('ann').at(-1) ?? '');
  await ann.hears(heard('ben').at(-1) ?? '');
  expect([ben.texts(), ann.texts()]).toEqual([heard('ann'), heard('ben')]);
});

test('whoever spoke and was removed since is heard by those who are ahead of their queue', async () => {
  const come = (name: string): Promise<Person> => Person.come(name, { ...world.door, folder });
  await using dan = await come('dan');
  await using eve = await come('eve');
  await using fay = await come('fay');
  await befriend(dan, eve);
  await befriend(dan, fay);
  const chat = await dan.client.createGroup('three', ['eve', 'fay']);
  for (const each of [eve, fay]) await each.until('joined', (event) => event.chat === chat);

  bus.isCut = true;
  await (
    await fay.client.send(chat, 'my last words here')
  ).sent;
  await dan.client.remove(chat, 'fay');
  // Eve's commit loses to the removal, which her queue has not brought.
  await eve.client.setTitle(chat, 'two');
  await eve.until('removed', (event) => event.chat === chat);
  bus.isCut = false;
  await eve.hears('my last words here');
});
