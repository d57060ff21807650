// Somebody who was away is added, put out and added again: of two Welcomes in the queue the first leads nowhere
// any more, and the second one does.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';

let world: World;
let folder: string;

beforeAll(async () => {
  world = await World.open();
  folder = await mkdtemp(join(tmpdir(), 'roost-again-'));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test('who is added anew while the first Welcome still lies in the queue comes in, and hears all from then on', async () => {
  const come = (name: string): Promise<Person> => Person.come(name, { ...world.door, folder });
  await using ann = await come('ann');
  await using ben = await come('ben');
  await befriend(ann, ben);
  let chat = '';
  {
    await using kim = await come('kim');
    await befriend(ann, kim);
    chat = await ann.client.createGroup('garden', ['ben']);
  }
  await ann.client.add(chat, ['kim']);
  await (
    await ann.client.send(chat, 'for nobody')
  ).sent;
  await ann.client.remove(chat, 'kim');
  await ann.client.add(chat, ['kim']);
  const said = ['one', 'two', 'three'];
  for (const words of said) await (await ann.client.send(chat, words)).sent;

  await using kim = await come('kim');
  await kim.hears('three');
  expect(kim.texts()).toEqual(said);
  expect(kim.client.chat(chat)?.isOpen).toBe(true);
  await kim.client.send(chat, 'here I am');
  await ann.hears('here I am');
});
