import { expect, test } from '@jest/globals';
import { scopedWire } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
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
  send,
} from './world.fixture.ts';

test('what is too old is deleted, and nothing else', async () => {
  await using world = await openWorld({ sweepMs: 20 });
  const { database, clock, client } = world;
  const [user, token, groupId] = [await newUser(world), crypto.random(32), newGroup()];
  const tokens = { tokenHashes: [crypto.sha256(token)], version: 1n };
  await client.setFriendshipTokens(tokens, { sign: user.sign });
  const [owner, leaver] = [await newClient(world, user), await newClient(world, user)];
  const addPackages = [
    await addPackage({ notAfterMs: Date.now() + 2 * DAY_MS }),
    await addPackage({ notAfterMs: Date.now() + 2 * DAY_MS }),
    await addPackage({ isLastResort: true }),
  ];
  await client.publishAddPackages({ addPackages }, { sign: owner.sign });
  const claim = { claimId: crypto.random(16), ownerDomain: domain, friendshipToken: token };
  await client.claimAddPackages({ ...claim, groupId: scopedWire(groupId) });
  await bound(world, leaver, groupId);
  await client.deleteClient({ qsClientId: scopedWire(leaver.id) }, { sign: user.sign });
  const broken = busEvent(groupId, 1, fanOutTo([], message(groupId, 'x')));
  await send(world, [{ ...broken, sealed: new Uint8Array(20) }]);

  const counts = async () => {
    const tables = ['nonces', 'claims', 'dead_letters', 'add_packages', 'handles', 'marks'];
    const rows = await Promise.all(
      tables.map((table) =>
        database.query<{ n: number }>({ text: `SELECT count(*)::int AS n FROM ${table}` }),
      ),
    );
    return Object.fromEntries(tables.map((table, at) => [table, rows[at]?.[0]?.n]));
  };
  const swept = async (): Promise<void> => {
    await new Promise((resolve) => {
      setTimeout(resolve, 150);
    });
  };
  await swept();
  // Two nonces made the clients. Three packages and the handle of the deleted client.
  const all = { nonces: 4, claims: 1, dead_letters: 1, add_packages: 3, handles: 4, marks: 1 };
  expect(await counts()).toEqual(all);

  clock.advance(3 * DAY_MS);
  await swept();
  // The handle of the unclaimed package goes with it; the claimed one is in use.
  expect(await counts()).toEqual({ ...all, nonces: 0, claims: 0, add_packages: 1, handles: 3 });

  clock.advance(31 * DAY_MS);
  await swept();
  expect(await counts()).toMatchObject({ dead_letters: 0, add_packages: 0, marks: 1 });

  clock.advance(500 * DAY_MS);
  await swept();
  expect(await counts()).toMatchObject({ handles: 2, marks: 1 });
});
