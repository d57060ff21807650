// M6 and C8: a push is sent only when nobody listens, by the rule of the chat, to whom the client said.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { befriend, Person } from '@roost/e2e/person';
import { World } from '@roost/e2e/world';
import { certificate, PushProvider } from '@roost/qs/push-provider.fixture';

const folder = mkdtempSync(join(tmpdir(), 'roost-push-'));
let world: World;
let provider: PushProvider;

beforeAll(async () => {
  provider = await PushProvider.open();
  world = await World.open({ pushing: { isPrivateAllowed: true, authority: certificate } });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const come = (name: string): Promise<Person> => Person.come(name, { ...world.door, folder });

async function asked(count: number): Promise<string[]> {
  for (let waited = 0; waited < 60_000 && provider.asked.length < count; waited += 50) {
    await sleep(50);
  }
  // One that is too many would come by now.
  await sleep(1_500);
  return provider.asked.map(({ method }) => method);
}

test('who is away is told by a push, who is there or muted is not, and groups that come later tell too', async () => {
  await using bob = await come('bob');
  let alice = await come('alice');
  const dm = await befriend(bob, alice);
  expect(await alice.client.pushes.key()).toHaveLength(65);
  const endpoint = `https://localhost:${provider.port}/alice`;
  const { publicKey: p256dh } = crypto.p256.generate();
  await alice.client.pushes.register({ endpoint, p256dh, auth: crypto.random(16) });
  const chat = await bob.client.createGroup('Later', ['alice']);
  await alice.until('joined');
  await bob.client.send(dm, 'you are here');
  await alice.hears('you are here');
  expect(await asked(0)).toEqual([]);

  await alice[Symbol.asyncDispose]();
  await (
    await bob.client.send(chat, 'where are you?')
  ).sent;
  await (
    await bob.client.send(dm, 'hello?')
  ).sent;
  expect(await asked(1)).toEqual(['POST']);

  alice = await come('alice');
  await alice.hears('hello?');
  await alice.client.setNotifications(dm, { kind: 'silent' });
  await alice[Symbol.asyncDispose]();
  await (
    await bob.client.send(dm, 'not so loud')
  ).sent;
  expect(await asked(1)).toEqual(['POST']);
  await (
    await bob.client.send(chat, 'and here?')
  ).sent;
  expect(await asked(2)).toEqual(['POST', 'POST']);

  alice = await come('alice');
  await alice.hears('not so loud');
  await alice.client.pushes.end();
  await alice[Symbol.asyncDispose]();
  await (
    await bob.client.send(chat, 'gone for good')
  ).sent;
  expect(await asked(2)).toEqual(['POST', 'POST']);
});
