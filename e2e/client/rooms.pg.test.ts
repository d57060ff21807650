import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { printId } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';

const folder = mkdtempSync(join(tmpdir(), 'roost-rooms-'));
const NAMES = ['amos', 'bela', 'cyra'] as const;
let world: World;
let amos: Person;
let bela: Person;
let cyra: Person;
const others = new Set<Person>();

beforeAll(async () => {
  world = await World.open();
  [amos, bela, cyra] = await Promise.all([come(NAMES[0]), come(NAMES[1]), come(NAMES[2])]);
  await Promise.all([befriend(amos, bela), befriend(bela, cyra), befriend(cyra, amos)]);
});
afterAll(async () => {
  await Promise.all([...others].map((each) => each[Symbol.asyncDispose]()));
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function come(name: string): Promise<Person> {
  const person = await Person.come(name, { ...world.door, folder });
  others.add(person);
  return person;
}

function roleOf(at: Person, chat: string, of: Person): string | undefined {
  return at.client.members(chat).find(({ name }) => name.startsWith(`${of.name}@`))?.role;
}

test('of 20 conversations that the same three found at once one survives at all of them', async () => {
  const people = [amos, bela, cyra];
  const made = people.flatMap((founder, at) =>
    Array.from({ length: at === 0 ? 6 : 7 }, () =>
      founder.client.rooms.createGroupDm(NAMES.filter((name) => name !== founder.name)),
    ),
  );
  expect(made).toHaveLength(20);
  await Promise.all(made);
  const dms = (each: Person) => each.client.chats().filter(({ kind }) => kind === 'group_dm');
  const isSettled = () => new Set(people.flatMap((each) => dms(each).map(({ id }) => id))).size < 2;
  for (let waited = 0; !isSettled() && waited < 60_000; waited += 50) await sleep(50);

  const chats = people.map((each) => dms(each).map(({ id }) => id));
  expect(new Set(chats.flat()).size).toBe(1);
  const chat = chats[0]?.[0] ?? '';
  expect(chats).toEqual([[chat], [chat], [chat]]);
  expect(await Promise.all(made.map(async (each) => amos.client.chat(await each)?.id))).toContain(
    chat,
  );
  await amos.client.send(chat, 'to both');
  await Promise.all([bela.hears('to both'), cyra.hears('to both')]);
  expect(amos.client.chat(chat)?.name).toBe('bela, cyra');
  expect(await bela.client.rooms.createGroupDm(['amos', 'cyra'])).toBe(chat);
  await expect(amos.client.add(chat, ['bela'])).rejects.toThrow('nobody is added');
  await expect(amos.client.remove(chat, 'bela')).rejects.toMatchObject({ reason: 'NOT_ALLOWED' });

  // CHAT-10, -14, -15: whoever leaves stays out, the kind stays, and there is room for another.
  await cyra.client.leave(chat);
  await Promise.all([amos, bela].map((each) => each.until('left', (event) => event.chat === chat)));
  expect((await cyra.client.history(chat, 10)).map(({ text }) => text)).toContain('to both');
  expect(amos.client.chat(chat)?.kind).toBe('group_dm');
  await expect(bela.client.add(chat, ['cyra'])).rejects.toMatchObject({ reason: 'NOT_ALLOWED' });
  const again = await amos.client.rooms.createGroupDm(['bela', 'cyra']);
  expect(again).not.toBe(chat);
  await Promise.all([bela, cyra].map((each) => each.until('joined', (one) => one.chat === again)));
  expect(dms(amos)).toHaveLength(2);
});

test('roles, kicks and bans: who may, and a sentence for who may not', async () => {
  const chat = await amos.client.createGroup('Strict', ['bela', 'cyra'], 'strict');
  const heard = (event: { readonly chat: string }) => event.chat === chat;
  await Promise.all([bela.until('joined', heard), cyra.until('joined', heard)]);
  const { rooms } = bela.client;
  await expect(bela.client.add(chat, ['cyra'])).rejects.toThrow('does not let you add');
  await expect(rooms.ban(chat, 'cyra')).rejects.toThrow('does not let you ban');
  await expect(rooms.setRole(chat, 'bela', 'owner')).rejects.toMatchObject({
    reason: 'NOT_ALLOWED',
  });

  await amos.client.rooms.setRole(chat, 'bela', 'moderator');
  expect((await bela.until('role', heard)).role).toBe('moderator');
  await expect(bela.client.remove(chat, 'amos')).rejects.toThrow('remove one of them');
  const { sent } = await cyra.client.send(chat, 'something rude');
  await sent;
  await bela.hears('something rude');
  await amos.hears('something rude');
  const [rude] = await bela.client.history(chat, 1);
  if (rude === undefined) throw new Error('no line');
  await bela.client.deleteLine(chat, rude);
  await Promise.all([amos.until('deleted', heard), cyra.until('deleted', heard)]);
  for (const each of [amos, bela, cyra]) {
    expect(await each.client.history(chat, 1)).toMatchObject([{ text: '', isDeleted: true }]);
  }
  await amos.client.send(chat, 'the owner speaks');
  await cyra.hears('the owner speaks');
  const [said] = await cyra.client.history(chat, 1);
  if (said === undefined) throw new Error('no line');
  await expect(cyra.client.deleteLine(chat, said)).rejects.toThrow('what others wrote');

  await rooms.ban(chat, 'cyra');
  expect((await cyra.until('gone', heard)).by).toBe('bela@home.example');
  await amos.until('banned', heard);
  await expect(amos.client.add(chat, ['cyra'])).rejects.toThrow('banned');
  await expect(rooms.unban(chat, 'cyra')).rejects.toMatchObject({ reason: 'NOT_ALLOWED' });
  await amos.client.rooms.unban(chat, 'cyra');
  await amos.client.add(chat, ['cyra']);
  await cyra.until('joined', (event) => heard(event) && cyra.client.chat(chat)?.isOpen === true);
  expect(roleOf(amos, chat, cyra)).toBe('ordinary');

  await amos.client.rooms.setPolicy(chat, 'cooperative');
  await bela.until('policy', heard);
  await amos.client.leave(chat);
  await Promise.all([bela, cyra].map((each) => each.until('left', heard)));
  expect(['bela', 'cyra']).toContain(
    bela.client
      .members(chat)
      .find(({ isOwner }) => isOwner)
      ?.name.split('@')[0],
  );
});

test('a public room is found and entered by whoever wants to, besides the banned', async () => {
  const chat = await amos.client.rooms.createPublicRoom('Town Square');
  const dora = await come('dora');
  const [found] = await dora.client.rooms.find('town');
  if (found === undefined) throw new Error('no room');
  expect(found.name).toBe('Town Square');
  expect(await dora.client.rooms.find('nothing of the kind')).toEqual([]);
  expect(await dora.client.rooms.join(found)).toBe(chat);
  await expect(dora.client.rooms.join(found)).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' });
  expect((await amos.until('entered')).name).toBe('dora@home.example');
  await dora.client.send(chat, 'hello, square');
  await amos.hears('hello, square');

  // Who is kicked may come again, who is banned may not.
  await amos.client.remove(chat, 'dora');
  await dora.until('gone', (event) => event.chat === chat);
  amos.events.length = 0;
  await dora.client.rooms.join(found);
  await amos.until('entered');
  await amos.client.rooms.ban(chat, 'dora');
  dora.events.length = 0;
  for (let waited = 0; dora.client.chats().length > 0 && waited < 60_000; waited += 20)
    await sleep(20);
  await expect(dora.client.rooms.join(found)).rejects.toThrow('you are banned from this room');
  await amos.client.rooms.unban(chat, 'dora');
  amos.events.length = 0;
  await dora.client.rooms.join(found);
  await amos.until('entered');
  await dora.client.leave(chat);
  await amos.until('left', (event) => event.chat === chat);
  expect(amos.client.members(chat)).toHaveLength(1);
});

test('who was away while two conversations of the same became one finds only that one', async () => {
  {
    await using gust = await Person.come('gust', { ...world.door, folder });
    await Promise.all([amos, bela, cyra].map((each) => befriend(gust, each)));
    // All know then how gust is added while it is away.
    for (const each of [amos, bela, cyra]) await each.client.createGroup('Two', ['gust']);
  }
  const byId = (one: Person, other: Person) =>
    printId(one.client.userId) < printId(other.client.userId) ? -1 : 1;
  const [first, second, third] = [amos, bela, cyra].toSorted(byId);
  if (first === undefined || second === undefined || third === undefined) throw new Error('nobody');
  const all = [first.name, second.name, third.name, 'gust'];
  const othersOf = ({ name }: Person) => all.filter((each) => each !== name);
  await first[Symbol.asyncDispose]();
  others.delete(first);
  const given = await second.client.rooms.createGroupDm(othersOf(second));
  await third.until('joined', ({ chat }) => chat === given);

  const again = await come(first.name);
  const chat = await again.client.rooms.createGroupDm(othersOf(first));
  expect(chat).not.toBe(given);
  const here = (event: { readonly chat: string }) => event.chat === chat;
  await Promise.all([second.until('joined', here), third.until('joined', here)]);
  await third.client.send(given, 'goes where it goes on');
  await again.hears('goes where it goes on');
  // The third has left the other one by its own proposal, and its founder committed that.
  await sleep(3_000);
  const gust = await come('gust');
  await gust.hears('goes where it goes on');
  await gust.until('joined', here);

  for (const each of [again, second, third, gust]) {
    const chats = () => each.client.chats().map(({ id }) => id);
    for (let waited = 0; chats().includes(given) && waited < 60_000; waited += 50) await sleep(50);
    expect(chats()).toContain(chat);
    expect(chats()).not.toContain(given);
  }
});
