import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { servicesOf } from '@roost/client/calls';
import { assert } from '@roost/core/assert';
import { scopedWire } from '@roost/core/ids';
import { sleep, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { befriend, Person } from '@roost/e2e/person';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import { World } from '@roost/e2e/world';
import { connectTo } from '@roost/e2e/door';

const folder = mkdtempSync(join(tmpdir(), 'roost-dead-'));
let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Deletes somebody's client at the QS, as its owner may. */
async function deleteQueue(person: Witness): Promise<void> {
  const tokens = await Tokens.of(person, world.door);
  const { qsUser, qsClient, qsUserKey } = await person.account();
  assert(qsUser !== undefined && qsClient !== undefined, 'who talks has a queue');
  using channel = connectTo(world.door);
  const signing = { crypto, clock: systemClock, audience: world.domain };
  const sign = { key: { kind: 'qs-user' as const, qsUser }, privateKey: qsUserKey.privateKey };
  await servicesOf(channel, signing).queue.deleteClient(
    { qsClientId: scopedWire(qsClient) },
    { sign, token: await tokens.takeRaw('general') },
  );
}

test('whose queue is gone is proposed for removal by the hub, and removed by the members', async () => {
  const come = async (name: string) => Person.come(name, { ...world.door, folder });
  await using lea = await come('lea');
  await using mia = await come('mia');
  let chat = '';
  {
    await using ned = await Witness.come(world.door, 'ned');
    await lea.client.connect('ned');
    await ned.until('request');
    await ned.client.accept('lea');
    await lea.until('connected');
    await befriend(lea, mia);
    chat = await lea.client.createGroup('Three', ['mia', 'ned']);
    await Promise.all([mia.until('joined'), ned.until('joined')]);
    await deleteQueue(ned);
  }
  const removed = (person: Person) =>
    person.until('removed', (event) => event.chat === chat && event.name.startsWith('ned@'));
  const heard = Promise.all([removed(lea), removed(mia)]);
  // The first message finds the queue gone; the next ones let the hub say so.
  for (let n = 0, isHeard = false; !isHeard; n++) {
    await (
      await lea.client.send(chat, `anybody there? ${n}`)
    ).sent;
    isHeard = await Promise.race([heard.then(() => true), sleep(200).then(() => false)]);
  }
  await heard;
  expect(mia.client.members(chat)).toHaveLength(2);
  await (
    await mia.client.send(chat, 'the two of us')
  ).sent;
  await lea.hears('the two of us');
});
