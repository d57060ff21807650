import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mlsShelf } from '@roost/client/mls-config';
import { NodeStore } from '@roost/client/node/store';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';

const folder = mkdtempSync(join(tmpdir(), 'roost-resync-'));
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

/** Two who share a group, and its chat; the second one has gone away. */
async function withOneAway(stays: string, goes: string): Promise<{ here: Person; chat: string }> {
  const here = await come(stays);
  await using away = await come(goes);
  await befriend(here, away);
  const chat = await here.client.createGroup('Far', [goes]);
  await away.until('joined');
  await (
    await here.client.send(chat, 'before')
  ).sent;
  await away.hears('before');
  return { here, chat };
}

async function talk(here: Person, back: Person, chat: string): Promise<void> {
  await back.client.send(chat, `${back.name} is back`);
  await here.hears(`${back.name} is back`);
  await here.client.send(chat, `hear me, ${back.name}`);
  await back.hears(`hear me, ${back.name}`);
}

test('a member that heard nothing for longer than the log reaches back comes back by itself', async () => {
  const { here, chat } = await withOneAway('alva', 'bodo');
  await using alva = here;
  await using bodo = await come('bodo');
  await bodo.client.silence(chat);
  await alva.client.setTitle(chat, 'Farther');
  await alva.client.setTitle(chat, 'Farthest');
  // What the hub's sweeper does after some months.
  await world.databases.ds.query({ text: 'DELETE FROM log' });

  await bodo.client.unsilence(chat);
  await bodo.until('returned');
  await talk(alva, bodo, chat);
  expect(bodo.client.chat(chat)?.name).toBe('Farthest');
  expect(
    alva.client
      .members(chat)
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(['alva@home.example', 'bodo@home.example']);
  expect(bodo.events.filter(({ kind }) => kind === 'added')).toEqual([]);
  expect(bodo.events.filter(({ kind }) => kind === 'returned')).toHaveLength(1);
});

test('a commit that does not fit is reported, and whom it left behind comes back', async () => {
  const { here, chat } = await withOneAway('cleo', 'dora');
  await using cleo = here;
  {
    // As if its path secrets were sealed to others: no key of its own opens one.
    using store = NodeStore.open(join(folder, 'dora'));
    const shelf = mlsShelf('mls/');
    const key = `mls/${chat}`;
    const state = shelf.decode((await store.get(key)) ?? new Uint8Array(0));
    const privateKeys = Object.fromEntries(
      Object.keys(state.privatePath.privateKeys).map((node) => [node, crypto.random(32)]),
    );
    const broken = { ...state, privatePath: { ...state.privatePath, privateKeys } };
    await store.write([{ key, value: shelf.encode(broken) }]);
  }
  await cleo.client.setTitle(chat, 'Unfit');
  await using dora = await come('dora');
  await dora.until('returned');
  await talk(cleo, dora, chat);
  const reports = await world.databases.ds.query({ text: 'SELECT 1 FROM reports' });
  expect(reports).toHaveLength(1);
});
