import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Clock, HOUR_MS } from '@roost/core/time';
import { Client } from '@roost/client/client';
import { NodeStore } from '@roost/client/node/store';
import { webCrypto } from '@roost/crypto/web';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';
import { connectWebTo } from '@roost/e2e/door';

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

test('two register, connect and talk both ways', async () => {
  await using alice = await come('alice');
  await using bob = await come('bob');
  const chat = await befriend(alice, bob);

  await alice.client.send(chat, 'hello bob');
  await bob.hears('hello bob');
  await bob.client.send(chat, 'hello alice');
  const heard = await alice.hears('hello alice');

  expect(heard.sender).toBe('bob@home.example');
  expect(alice.client.fingerprint('bob')).toBe(bob.client.fingerprint('alice'));
  expect(alice.client.members(chat)).toHaveLength(2);
});

test('three share a group: all hear each other, one is removed, one leaves', async () => {
  await using dora = await come('dora');
  await using emil = await come('emil');
  await using finn = await come('finn');
  await befriend(dora, emil);
  await befriend(dora, finn);
  const chat = await dora.client.createGroup('A trip', ['emil', 'finn']);
  expect((await emil.until('joined')).title).toBe('A trip');
  expect((await finn.until('joined')).by).toBe('dora@home.example');

  await dora.client.send(chat, 'from dora');
  await Promise.all([emil.hears('from dora'), finn.hears('from dora')]);
  await finn.client.send(chat, 'from finn');
  await Promise.all([emil.hears('from finn'), dora.hears('from finn')]);
  await emil.client.setTitle(chat, 'A long trip');
  expect((await finn.until('title')).title).toBe('A long trip');

  await expect(emil.client.remove(chat, 'finn')).rejects.toThrow('your role in this room');
  await dora.client.remove(chat, 'finn');
  expect((await finn.until('gone')).by).toBe('dora@home.example');
  await emil.until('removed');
  await expect(finn.client.send(chat, 'still there?')).rejects.toThrow('not in this chat');

  await emil.client.leave(chat);
  await emil.until('gone');
  await dora.until('left');
  expect(dora.client.members(chat).map(({ name }) => name)).toEqual(['dora@home.example']);
  expect(emil.client.chats().map(({ id }) => id)).not.toContain(chat);
});

test('the owner leaves: another one owns the group and can remove', async () => {
  await using gina = await come('gina');
  await using hugo = await come('hugo');
  await using ines = await come('ines');
  await befriend(gina, hugo);
  await befriend(gina, ines);
  const chat = await gina.client.createGroup('Handed over', ['hugo', 'ines']);
  await Promise.all([hugo.until('joined'), ines.until('joined')]);

  await gina.client.leave(chat);
  await Promise.all([hugo.until('left'), ines.until('left')]);

  const owner = hugo.client.members(chat).find(({ isOwner }) => isOwner);
  expect(owner?.name).not.toBe('gina@home.example');
  const [first, other] = owner?.isSelf === true ? [hugo, ines] : [ines, hugo];
  await first.client.remove(chat, other.name);
  await other.until('gone');
});

test('in a conversation of two nobody leaves and nobody is added, and a sentence says why', async () => {
  await using jana = await come('jana');
  await using karl = await come('karl');
  const chat = await befriend(jana, karl);

  await expect(jana.client.leave(chat)).rejects.toThrow('nobody leaves a conversation between two');
  await expect(jana.client.add(chat, ['karl'])).rejects.toThrow('nobody is added');
});

test('a rejected request says so, and may be made again', async () => {
  await using lara = await come('lara');
  await using mika = await come('mika');
  await lara.client.connect('mika');
  await mika.until('request');
  await mika.client.reject();
  await lara.until('rejected');
  mika.events.length = 0;

  await lara.client.connect('mika');
  await mika.until('request');
  await mika.client.accept();
  await lara.until('connected');
});

test('two who ask each other at once are connected by one conversation', async () => {
  await using nora = await come('nora');
  await using otto = await come('otto');
  await Promise.allSettled([nora.client.connect('otto'), otto.client.connect('nora')]);
  const [one, two] = await Promise.all([nora.until('connected'), otto.until('connected')]);

  expect(one.chat).toBe(two.chat);
  await nora.client.send(one.chat, 'once');
  await otto.hears('once');
  expect(nora.client.chats()).toHaveLength(1);
  expect(otto.client.chats()).toHaveLength(1);
});

test('what was written before the other accepted is sent on acceptance, in order', async () => {
  await using pia = await come('pia');
  await using quin = await come('quin');
  await pia.client.connect('quin');
  const [chat] = pia.client.chats();
  for (const text of ['one', 'two', 'three']) await pia.client.send(chat?.id ?? '', text);
  await quin.until('request');
  await quin.client.accept();
  await quin.hears('three');

  expect(quin.texts()).toEqual(['one', 'two', 'three']);
});

test('one who was away gets what it missed, in order, once', async () => {
  await using rosa = await come('rosa');
  await using sven = await come('sven');
  let chat = '';
  {
    await using tina = await come('tina');
    await befriend(rosa, tina);
    await befriend(rosa, sven);
    chat = await rosa.client.createGroup('Away', ['tina', 'sven']);
    await tina.until('joined');
  }
  await sven.until('joined');
  for (let count = 0; count < 5; count++) {
    await rosa.client.send(chat, `rosa ${count}`);
    await rosa.client.setTitle(chat, `Away ${count}`);
    await (
      await sven.client.send(chat, `sven ${count}`)
    ).sent;
  }
  await using tina = await come('tina');
  await tina.hears('sven 4');
  await tina.hears('rosa 4');
  await tina.client.send(chat, 'back again');
  await rosa.hears('back again');

  const heard = tina.texts();
  expect(heard.filter((text) => text.startsWith('rosa'))).toEqual(
    [0, 1, 2, 3, 4].map((n) => `rosa ${n}`),
  );
  expect(heard.filter((text) => text.startsWith('sven'))).toEqual(
    [0, 1, 2, 3, 4].map((n) => `sven ${n}`),
  );
  expect(tina.client.chat(chat)?.name).toBe('Away 4');
});

test('commits that meet are both made: the one that lost is made anew', async () => {
  await using ulf = await come('ulf');
  await using vera = await come('vera');
  await using wim = await come('wim');
  await befriend(ulf, vera);
  await befriend(ulf, wim);
  await befriend(vera, wim);
  const chat = await ulf.client.createGroup('Race', ['vera']);
  await vera.until('joined');

  const titles = Array.from({ length: 4 }, (_, at) => [
    ulf.client.setTitle(chat, `ulf ${at}`),
    vera.client.setTitle(chat, `vera ${at}`),
  ]);
  await Promise.all([...titles.flat(), vera.client.add(chat, ['wim'])]);
  await wim.until('joined');
  await wim.client.send(chat, 'all here');
  await Promise.all([ulf.hears('all here'), vera.hears('all here')]);

  const names = [ulf, vera, wim].map(({ client }) => client.chat(chat)?.name);
  expect(new Set(names).size).toBe(1);
});

test('a lost homeserver is said and reconnected to; what was written meanwhile is sent once', async () => {
  await using xena = await come('xena');
  await using yves = await come('yves');
  const chat = await befriend(xena, yves);
  await world.stop();
  await xena.until('away');
  await xena.client.send(chat, 'while it was away');
  await world.start();
  await xena.until('back');
  await yves.hears('while it was away');

  expect(yves.texts()).toEqual(['while it was away']);
});

test('a client whose clock is off corrects itself by the homeserver', async () => {
  await using uma = await come('uma', { now: () => Date.now() + 3 * HOUR_MS });
  await using vito = await come('vito');
  const chat = await befriend(uma, vito);
  await uma.client.send(chat, 'what time is it?');

  await vito.hears('what time is it?');
});

test('one whose queue lost what was in it reads the log, and what it sends arrives', async () => {
  await using wanda = await come('wanda');
  await using yuri = await come('yuri');
  let chat = '';
  {
    await using zita = await come('zita');
    await befriend(wanda, yuri);
    await befriend(wanda, zita);
    chat = await wanda.client.createGroup('Lossy', ['yuri', 'zita']);
    await zita.until('joined');
  }
  await yuri.until('joined');
  for (let at = 0; at < 4; at++) await wanda.client.setTitle(chat, `Lossy ${at}`);
  await yuri.until('title', ({ title }) => title === 'Lossy 3');
  await world.databases.qs.query({ text: 'DELETE FROM runs' });

  await using zita = await come('zita');
  const { sent } = await zita.client.send(chat, 'did I miss something?');
  await sent;
  await Promise.all([wanda, yuri].map((each) => each.hears('did I miss something?')));
  expect(zita.client.chat(chat)?.name).toBe('Lossy 3');
});

test('a client with the transport and the cryptography of browsers talks with one on Node', async () => {
  await using greta = await come('greta');
  using store = NodeStore.open(join(folder, 'webster'));
  const transport = connectWebTo(world.door);
  const ports = { store, transport, crypto: webCrypto };
  await using webster = await Client.register({ ...ports, userName: 'webster' });
  await webster.connect('greta');
  await greta.until('request');
  await greta.client.accept();
  const { chat } = await greta.until('connected');
  await webster.send(chat, 'from a browser');
  await greta.hears('from a browser');
  await greta.client.send(chat, 'to a browser');

  for await (const event of webster.events()) {
    if (event.kind === 'message' && event.text === 'to a browser') break;
  }
});
