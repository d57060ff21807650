// What the QS does when its database was restored from a backup.
import { expect, test } from '@jest/globals';
import { toHex } from '@roost/core/bytes';
import { scopedWire } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Database } from '@roost/postgres/database';
import {
  addPackage,
  bound,
  busEvent,
  domain,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openWorld,
  pair,
  readAll,
  send,
  words,
} from './world.fixture.ts';

const TABLES = ['queues', 'runs', 'marks', 'add_packages', 'claims'];

/** Keeps the rows aside as they are, and puts them back later. */
async function backUp(database: Database): Promise<() => Promise<void>> {
  for (const table of TABLES) {
    await database.query({ text: `CREATE TABLE backup_${table} AS TABLE ${table}` });
  }
  return async () => {
    for (const table of TABLES) {
      await database.query({ text: `DELETE FROM ${table}` });
      const overriding = table === 'add_packages' ? 'OVERRIDING SYSTEM VALUE' : '';
      await database.query({
        text: `INSERT INTO ${table} ${overriding} SELECT * FROM backup_${table}`,
      });
    }
  };
}

test('after a restore a queue goes on with other keys behind a gap, for who was ahead and who was behind', async () => {
  await using world = await openWorld();
  const groupId = newGroup();
  const [ahead, behind] = [await newClient(world), await newClient(world)];
  const handles = [await bound(world, ahead, groupId), await bound(world, behind, groupId)];
  const deliver = async (n: number, text: string, numbers = {}) =>
    await send(world, [busEvent(groupId, n, fanOutTo(handles, message(groupId, text)), numbers)]);
  await deliver(1, 'one');
  await deliver(2, 'two');
  const atBackup = await readAll(world, ahead);
  expect(words(atBackup.items)).toEqual(['one', 'two']);

  const restore = await backUp(world.database);
  await deliver(3, 'three');
  const since = await readAll(world, ahead, atBackup.reader);
  expect(words(since.items)).toEqual(['three']);
  await restore();
  await world.restart(2);

  // The DS was restored too: it goes on from the second number.
  const next = { number: pair(3, 2), prev: pair(2) };
  await deliver(3, 'another three', next);
  const anew = ['gap of 1', '0 left', 'another three'];
  expect(words((await readAll(world, ahead, since.reader)).items)).toEqual(anew);
  expect(words((await readAll(world, behind)).items)).toEqual(['one', 'two', ...anew]);

  // Who has it all acknowledged has an empty queue, and the next start changes nothing.
  const { reader } = await readAll(world, ahead, since.reader);
  await world.client.ack({ belowSequence: reader.next }, { sign: ahead.sign });
  await world.restart(2);
  expect((await readAll(world, ahead, reader)).items).toEqual([]);
  await expect(world.restart(1)).rejects.toThrow('has served incarnation 2');
});

test('KeyPackages that were handed out since the backup are handed out to nobody else', async () => {
  await using world = await openWorld();
  const user = await newUser(world);
  const client = await newClient(world, user);
  const token = crypto.random(32);
  const tokens = { tokenHashes: [crypto.sha256(token), crypto.random(32)], version: 1n };
  await world.client.setFriendshipTokens(tokens, { sign: user.sign });
  const lastResort = await addPackage({ isLastResort: true });
  const own = [await addPackage(), await addPackage(), lastResort];
  await world.client.publishAddPackages({ addPackages: own }, { sign: client.sign });
  const claim = async (): Promise<string> => {
    const { addPackages } = await world.client.claimAddPackages({
      ...{ claimId: crypto.random(16), ownerDomain: domain, friendshipToken: token },
      groupId: scopedWire(newGroup()),
    });
    return toHex(addPackages[0]?.keyPackage?.tls ?? new Uint8Array(0));
  };
  const restore = await backUp(world.database);
  await claim();
  await restore();
  await world.restart(2);

  expect(await claim()).toBe(toHex(lastResort.keyPackage.tls));
  // Those that were there are good no more, and new ones are.
  const again = world.client.publishAddPackages({ addPackages: own }, { sign: client.sign });
  expect(await again).toEqual({ available: 0, lastResort: 1 });
  const fresh = await addPackage();
  await world.client.publishAddPackages({ addPackages: [fresh] }, { sign: client.sign });
  expect(await claim()).toBe(toHex(fresh.keyPackage.tls));
});
