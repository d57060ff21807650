import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { encodeQueueConfig } from '@roost/bus/queue-config';
import { toHex } from '@roost/core/bytes';
import { GroupId, parseDomain, scopedWire } from '@roost/core/ids';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { AddPackage } from '@roost/proto/roost/queue/v1/queue';
import {
  addPackage,
  busEvent,
  domain,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openWorld,
  readAll,
  send,
  words,
  type TestClient,
  type World,
} from './world.fixture.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const refused = (reason: string, part = '') =>
  expect.objectContaining({ reason, message: expect.stringContaining(part) });

function publish(client: TestClient, addPackages: AddPackage[]) {
  return world.client.publishAddPackages({ addPackages }, { sign: client.sign });
}

/** A user with a friendship token and clients. */
async function owner(clientCount = 1) {
  const user = await newUser(world);
  const token = crypto.random(32);
  const request = { tokenHashes: [crypto.sha256(token), crypto.random(32)], version: 1n };
  await world.client.setFriendshipTokens(request, { sign: user.sign });
  const clients: TestClient[] = [];
  for (let count = 0; count < clientCount; count++) clients.push(await newClient(world, user));
  return { user, token, clients, client: clients[0] as TestClient };
}

function claim(
  friendshipToken: Uint8Array,
  { claimId = crypto.random(16), groupId = newGroup() } = {},
) {
  return world.client.claimAddPackages({
    claimId,
    ownerDomain: domain,
    friendshipToken,
    groupId: scopedWire(groupId),
  });
}

const keyOf = (each: AddPackage | undefined): string =>
  toHex(each?.keyPackage?.tls ?? new Uint8Array(0));

function packages(count: number): Promise<AddPackage[]> {
  return Promise.all(Array.from({ length: count }, () => addPackage()));
}

test('50 claims at once of 20 packages get 20 different ones, then the last resort without an error', async () => {
  const { token, client } = await owner();
  const lastResort = await addPackage({ isLastResort: true });
  expect(await publish(client, [...(await packages(20)), lastResort])).toEqual({
    available: 20,
    lastResort: 1,
  });
  const claims = await Promise.all(Array.from({ length: 50 }, () => claim(token)));
  const keys = claims.map(({ addPackages }) => keyOf(addPackages[0]));
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  expect(counts.get(keyOf(lastResort))).toBe(30);
  counts.delete(keyOf(lastResort));
  expect([...counts.values()]).toEqual(Array.from({ length: 20 }, () => 1));
});

test('a claim gives one package of each client, also where another transaction holds the last resort', async () => {
  const { token, clients } = await owner(3);
  const [first, second] = clients as [TestClient, TestClient];
  await publish(first, [...(await packages(1)), await addPackage({ isLastResort: true })]);
  await publish(second, [await addPackage({ isLastResort: true })]);
  await world.database.transaction(async (tx) => {
    await tx.query({ text: 'SELECT FROM add_packages WHERE is_last_resort FOR UPDATE' });
    expect((await claim(token)).addPackages).toHaveLength(2);
  });
  expect((await claim(token)).addPackages).toHaveLength(2);
});

test('a claim passes over a package that another claim is taking', async () => {
  const { token, client } = await owner();
  const [first, second] = (await packages(2)) as [AddPackage, AddPackage];
  const lastResort = await addPackage({ isLastResort: true });
  await publish(client, [first, second, lastResort]);
  const lock = 'SELECT FROM add_packages WHERE key_package = ANY ($1::bytea[]) FOR UPDATE';
  const claimBesides = async (...taken: AddPackage[]): Promise<string> =>
    world.database.transaction(async (tx) => {
      await tx.query({ text: lock, values: [taken.map((each) => each.keyPackage?.tls)] });
      return keyOf((await claim(token)).addPackages[0]);
    });
  expect(await claimBesides(first, second)).toBe(keyOf(lastResort));
  expect(await claimBesides(first)).toBe(keyOf(second));
});

test('the same claim gets the same packages; for another group its id is refused', async () => {
  const { token, client } = await owner();
  await publish(client, [...(await packages(2)), await addPackage({ isLastResort: true })]);
  const same = { claimId: crypto.random(16), groupId: newGroup() };
  const [first, ...others] = await Promise.all([
    claim(token, same),
    claim(token, same),
    claim(token, same),
  ]);
  for (const other of others) expect(other).toEqual(first);
  const reused = claim(token, { claimId: same.claimId });
  await expect(reused).rejects.toEqual(refused('ID_REUSED'));
  const { available } = await publish(client, []);
  expect(available).toBe(1);
});

test('a token that was taken away, a foreign owner and a foreign hub open nothing', async () => {
  const { user, token, client } = await owner();
  await publish(client, [await addPackage({ isLastResort: true })]);
  await expect(claim(crypto.random(32))).rejects.toEqual(refused('USER_UNKNOWN'));
  const foreign = GroupId.of(newGroup().uuid, parseDomain('b.example'));
  await expect(claim(token, { groupId: foreign })).rejects.toEqual(refused('FEDERATION_DENIED'));
  const groupId = scopedWire(newGroup());
  const request = { claimId: crypto.random(16), friendshipToken: token, groupId };
  const away = world.client.claimAddPackages({ ...request, ownerDomain: 'b.example' });
  await expect(away).rejects.toEqual(refused('FEDERATION_DENIED', 'federation is not configured'));
  const dropped = { tokenHashes: [crypto.random(32)], version: 2n };
  await world.client.setFriendshipTokens(dropped, { sign: user.sign });
  await expect(claim(token)).rejects.toEqual(refused('USER_UNKNOWN'));
});

test('with nothing published a claim says so, and can be made again later', async () => {
  const { token, client } = await owner();
  const same = { claimId: crypto.random(16), groupId: newGroup() };
  await expect(claim(token, same)).rejects.toEqual(refused('KEY_PACKAGES_EXHAUSTED'));
  await publish(client, [await addPackage({ isLastResort: true })]);
  expect((await claim(token, same)).addPackages).toHaveLength(1);
});

test('a claim binds the handle: only that group delivers', async () => {
  const { token, client } = await owner();
  const [handle, reusable] = [crypto.random(32), crypto.random(32)];
  await publish(client, [
    await addPackage({ handle }),
    await addPackage({ isLastResort: true, handle: reusable }),
  ]);
  const [first, second, third, other] = [newGroup(), newGroup(), newGroup(), newGroup()];
  const early = busEvent(other, 1, fanOutTo([handle, reusable], message(other, 'early')));
  await send(world, [early]);
  for (const groupId of [first, second, third]) await claim(token, { groupId });
  for (const groupId of [first, second, third, other]) {
    const n = groupId === other ? 2 : 1;
    const text = [first, second, third, other].indexOf(groupId);
    const fanOut = fanOutTo([handle, reusable], message(groupId, `from ${text}`));
    await send(world, [busEvent(groupId, n, fanOut)]);
  }
  const said = words((await readAll(world, client)).items);
  expect(said).toEqual(['0 left', 'from 0', 'from 1', 'from 2']);
});

test('the owner hears once that few are left, and again after a refill', async () => {
  const { token, client } = await owner();
  await publish(client, [...(await packages(21)), await addPackage({ isLastResort: true })]);
  for (let count = 0; count < 4; count++) await claim(token);
  expect(words((await readAll(world, client)).items)).toEqual(['19 left']);
  await publish(client, await packages(4));
  for (let count = 0; count < 3; count++) await claim(token);
  expect(words((await readAll(world, client)).items)).toEqual(['19 left', '19 left']);
});

test('a published package is left as it is, and a claimed one does not come back', async () => {
  const { token, client } = await owner();
  const [only, lastResort] = [await addPackage(), await addPackage({ isLastResort: true })];
  await publish(client, [only, lastResort]);
  expect(await publish(client, [only, lastResort])).toEqual({ available: 1, lastResort: 1 });
  const { addPackages } = await claim(token);
  expect(keyOf(addPackages[0])).toBe(keyOf(only));
  expect(await publish(client, [only])).toEqual({ available: 0, lastResort: 1 });
  await expect(world.lastCall()()).rejects.toEqual(refused('REPLAYED'));
  const stealing = publish(await newClient(world), [
    only,
    await addPackage({ isLastResort: true }),
  ]);
  await expect(stealing).rejects.toEqual(refused('ALREADY_EXISTS'));
});

test('new last-resort packages replace the earlier ones; of several one goes to one homeserver', async () => {
  const { token, client } = await owner();
  await publish(client, [await addPackage({ isLastResort: true })]);
  const [second, third] = [
    await addPackage({ isLastResort: true }),
    await addPackage({ isLastResort: true }),
  ];
  expect(await publish(client, [second, third])).toEqual({ available: 0, lastResort: 2 });
  const first = keyOf((await claim(token)).addPackages[0]);
  expect([keyOf(second), keyOf(third)]).toContain(first);
  expect(keyOf((await claim(token)).addPackages[0])).toBe(first);
});

test('expired packages are not given', async () => {
  await using own = await openWorld();
  const [user, token] = [await newUser(own), crypto.random(32)];
  const tokens = { tokenHashes: [crypto.sha256(token)], version: 1n };
  await own.client.setFriendshipTokens(tokens, { sign: user.sign });
  const { sign } = await newClient(own, user);
  const addPackages = [
    await addPackage({ notAfterMs: Date.now() + 2 * DAY_MS }),
    await addPackage({ isLastResort: true }),
  ];
  await own.client.publishAddPackages({ addPackages }, { sign });
  own.clock.advance(3 * DAY_MS);
  const groupId = scopedWire(newGroup());
  const request = {
    claimId: crypto.random(16),
    ownerDomain: domain,
    friendshipToken: token,
    groupId,
  };
  const answer = await own.client.claimAddPackages(request);
  expect(keyOf(answer.addPackages[0])).toBe(keyOf(addPackages[1]));
});

/** Changes a byte, counted from the end where `at` is negative. */
function flipped(each: AddPackage, at: number): AddPackage {
  const tls = Uint8Array.from(each.keyPackage?.tls ?? []);
  const place = at < 0 ? tls.length + at : at;
  tls[place] = (tls[place] ?? 0) ^ 1;
  return { ...each, keyPackage: { tls } };
}

test('malformed uploads are refused with a reason, and change nothing', async () => {
  const { client } = await owner();
  const good = await addPackage();
  const tls = good.keyPackage.tls;
  const [handle, pushKey] = [crypto.random(32), crypto.random(32)];
  const abroad = encodeQueueConfig({ domain: parseDomain('b.example'), handle, pushKey });
  const many = await Promise.all(
    Array.from({ length: 6 }, () => addPackage({ isLastResort: true })),
  );
  const bad: [AddPackage[], string, string][] = [
    [[{ ...good, keyPackage: undefined }], 'MALFORMED', 'key_package: is missing'],
    [[{ ...good, keyPackage: { tls: new Uint8Array(0) } }], 'INVALID_MLS', ''],
    [[{ ...good, keyPackage: { tls: tls.slice(0, -1) } }], 'INVALID_MLS', ''],
    [[{ ...good, keyPackage: { tls: Uint8Array.of(...tls, 0) } }], 'INVALID_MLS', ''],
    [[flipped(good, 1)], 'INVALID_MLS', ''],
    [[flipped(good, 5)], 'INVALID_MLS', ''],
    [[flipped(good, 10)], 'INVALID_MLS', ''],
    [[flipped(good, -1)], 'INVALID_MLS', ''],
    [[await addPackage({ notAfterMs: Date.now() - HOUR_MS })], 'INVALID_MLS', ''],
    [[await addPackage({ notAfterMs: Date.now() + 91 * DAY_MS })], 'INVALID_MLS', ''],
    [
      [await addPackage({ notAfterMs: Date.now() + HOUR_MS / 2 })],
      'INVALID_MLS',
      'within the hour',
    ],
    [[await addPackage({ queueConfig: null })], 'INVALID_MLS', '0xF102'],
    [[await addPackage({ queueConfig: new Uint8Array(9) })], 'MALFORMED', 'ClientQueueConfig'],
    [[await addPackage({ queueConfig: abroad })], 'FEDERATION_DENIED', ''],
    [[{ ...good, sealedLinkKey: new Uint8Array(0) }], 'MALFORMED', 'sealed_link_key'],
    [[{ ...good, sealedLinkKey: new Uint8Array(257) }], 'MALFORMED', 'sealed_link_key'],
    [[good, good], 'MALFORMED', 'twice'],
    [[await addPackage({ handle }), await addPackage({ handle })], 'MALFORMED', 'twice'],
    [[good], 'MALFORMED', 'last-resort'],
    [many, 'LIMIT_REACHED', 'last-resort'],
    [Array.from({ length: 101 }, () => good), 'MALFORMED', 'more than 100'],
  ];
  for (const [addPackages, reason, part] of bad) {
    await expect(publish(client, addPackages)).rejects.toEqual(refused(reason, part));
  }
  const rows = await world.database.query({
    text: 'SELECT FROM add_packages WHERE key_package = $1',
    values: [tls],
  });
  expect(rows).toEqual([]);
});

test('a pool takes so many and no more', async () => {
  await using own = await openWorld({ poolMax: 3 });
  const { sign } = await newClient(own);
  const addPackages = [...(await packages(4)), await addPackage({ isLastResort: true })];
  const publishing = own.client.publishAddPackages({ addPackages }, { sign });
  await expect(publishing).rejects.toEqual(refused('LIMIT_REACHED'));
});
