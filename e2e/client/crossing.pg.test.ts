import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';

const folder = mkdtempSync(join(tmpdir(), 'roost-crossing-'));
let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function come(name: string): Promise<Person> {
  return Person.come(name, { ...world.door, folder });
}

/** Everybody with everybody else among eleven: 55 pairs. */
const NAMES = Array.from({ length: 11 }, (_, at) => `pair-${String.fromCodePoint(97 + at)}`);

test('of 55 pairs who ask each other at once each has one conversation, and every line arrives', async () => {
  await using all = new AsyncDisposableStack();
  const people: Person[] = [];
  for (const name of NAMES) people.push(all.use(await come(name)));
  const crossed = people.flatMap((one) =>
    people.filter((other) => other !== one).map((other) => asks(one, other)),
  );
  const sent = (await Promise.all(crossed)).flat();
  await Promise.all(sent);

  const chats = new Set<string>();
  for (const one of people) {
    expect(one.client.chats()).toHaveLength(NAMES.length - 1);
    for (const other of people.filter((each) => each !== one)) {
      const { chat } = await one.until('connected', ({ name }) => name.startsWith(other.name));
      expect(other.client.chat(chat)?.name).toBe(`${one.name}@home.example`);
      chats.add(chat);
      await other.hears(`${one.name} to ${other.name}: early`);
      await other.hears(`${one.name} to ${other.name}: late`);
      const own = (await one.client.history(chat, 10)).filter(({ isOwn }) => isOwn);
      expect(own.map(({ text }) => text.replace(/^.*: /, ''))).toEqual(['early', 'late']);
    }
  }
  for (const one of people) expect(one.texts()).toHaveLength(2 * (NAMES.length - 1));
  expect(chats.size).toBe(55);
  for (let waited = 0; (await groupsAtHub()) > 55 && waited < 60_000; waited += 50) await sleep(50);
  expect(await groupsAtHub()).toBe(55);
});

/** Asks to connect, and writes one line before and one after that is done. */
async function asks(one: Person, other: Person): Promise<Promise<void>[]> {
  const asked = one.client.connect(other.name);
  const early = await writesWhenShown(one, other);
  const chat = await asked;
  // Whoever is not told where it went writes into the conversation that was.
  await sleep(20);
  const late = await one.client.send(chat, `${one.name} to ${other.name}: late`);
  return [early.sent, late.sent];
}

async function writesWhenShown(one: Person, other: Person): Promise<{ sent: Promise<void> }> {
  for (;;) {
    const chat = one.client.chats().find(({ name }) => name.startsWith(other.name));
    if (chat !== undefined) {
      return one.client.send(chat.id, `${one.name} to ${other.name}: early`);
    }
    await sleep(5);
  }
}

async function groupsAtHub(): Promise<number> {
  return (await world.databases.ds.query({ text: 'SELECT FROM groups' })).length;
}

test('whoever is connected already finds the conversation again', async () => {
  await using abel = await come('abel');
  await using bree = await come('bree');
  const chat = await befriend(abel, bree);

  expect(await abel.client.connect('bree')).toBe(chat);
  expect(await bree.client.connect('abel@home.example')).toBe(chat);
  expect(abel.client.chats()).toHaveLength(1);
});

test('blocked and deleted, a conversation makes room for a new one', async () => {
  await using cleo = await come('cleo');
  await using dean = await come('dean');
  const first = await befriend(cleo, dean);
  await expect(cleo.client.forget('dean')).rejects.toThrow('block dean@home.example first');
  await cleo.client.block('dean');
  await cleo.client.forget('dean');
  expect(cleo.client.chats()).toEqual([]);
  await dean.client.send(first, 'into the void');
  await expect(cleo.client.connect('dean')).rejects.toThrow('unblock first');
  await cleo.client.unblock('dean');
  dean.events.length = 0;

  await cleo.client.connect('dean');
  await dean.until('request', ({ name }) => name.startsWith('cleo'));
  await dean.client.accept('cleo');
  const { chat } = await dean.until('connected', (event) => event.chat !== first);
  await dean.client.send(chat, 'a new one');
  await cleo.hears('a new one');
  await cleo.client.createGroup('And a group', ['dean']);
  await dean.until('joined');

  expect(chat).not.toBe(first);
  expect(cleo.texts()).toEqual(['a new one']);
  for (const each of [cleo, dean]) {
    const kinds = each.client.chats().map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual(['dm', 'group']);
  }
});
