import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Account, Group } from '@roost/client/state';
import type { Clock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { befriend, Person, tamper } from '@roost/e2e/person';
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

test('a joiner refuses a group in which somebody claims to be somebody else', async () => {
  await using ada = await come('ada');
  {
    await using bert = await come('bert');
    await using mallory = await come('mallory');
    await befriend(ada, mallory);
    await befriend(ada, bert);
  }
  const bert = await tamper<Account>({ folder }, 'bert', 'account/self', (account) => account);
  const own = await tamper<Account>({ folder }, 'mallory', 'account/self', (account) => ({
    ...account,
    credentials: account.credentials && { ...account.credentials, ...claimOf(bert) },
  }));
  let chat = '';
  {
    await using mallory = await come('mallory');
    chat = await mallory.client.createGroup('I am bert', []);
  }
  await tamper<Account>({ folder }, 'mallory', 'account/self', () => own);
  await using mallory = await come('mallory');
  await mallory.client.add(chat, ['ada']);

  const { sentence } = await ada.until('group-refused');
  expect(sentence).toContain('not who they say they are');
  expect(ada.client.chats().map(({ id }) => id)).not.toContain(chat);
});

test('a member that sees a forged leaf come in sends nothing until it is removed', async () => {
  await using cora = await come('cora');
  await using dirk = await come('dirk');
  let chat = '';
  {
    await using eve = await come('eve');
    await befriend(cora, eve);
    await befriend(eve, dirk);
    chat = await cora.client.createGroup('Forged', ['eve']);
    await eve.until('joined');
  }
  await tamper<Group>({ folder }, 'eve', `group/${chat}`, (group) => ({
    ...group,
    keys: { ...group.keys, linkWrapperKey: crypto.random(32) },
  }));
  await using eve = await come('eve');
  await eve.client.add(chat, ['dirk']);

  await cora.until('forged');
  const { sent } = await cora.client.send(chat, 'among ourselves');
  await sent;
  expect(cora.client.members(chat).map(({ name }) => name)).toEqual([
    'cora@home.example',
    'eve@home.example',
  ]);
  // Whoever is slow finds that he was removed together with the forged leaf.
  const { sentence } = await dirk.until('group-refused');
  expect(sentence).toMatch(/not who they say|not in it/);
});

function claimOf({ credentials }: Account) {
  const { clientCredential, nameBinding } = credentials ?? {};
  if (clientCredential === undefined || nameBinding === undefined)
    throw new Error('no credentials');
  return { clientCredential, nameBinding };
}
