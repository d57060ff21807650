import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GroupId, parseDomain, QsClientId, scopedWire } from '@roost/core/ids';
import { signWithLabel } from '@roost/crypto/labelled';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import {
  bound,
  busEvent,
  fanOutTo,
  message,
  newClient,
  newGroup,
  newUser,
  openWorld,
  readAll,
  send,
  words,
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

test('the same key gets the same user record, and only who holds it', async () => {
  const { publicKey, privateKey } = crypto.ed25519.generate();
  const sign = { key: { kind: 'new-key' as const, publicKey }, privateKey };
  const create = () => world.client.createUser({ authKey: publicKey }, { sign });
  const all = await Promise.all([create(), create(), create()]);
  expect(new Set(all.map(({ qsUserId }) => String(qsUserId?.uuid))).size).toBe(1);
  const other = crypto.ed25519.generate().publicKey;
  const stolen = world.client.createUser({ authKey: other }, { sign });
  await expect(stolen).rejects.toEqual(refused('MALFORMED', 'auth_key'));
});

test('the same client key gets the same record; for another user or queue it is taken', async () => {
  const [user, other] = [await newUser(world), await newUser(world)];
  const { publicKey: authKey, privateKey } = crypto.ed25519.generate();
  const request = () => {
    const queueKey = crypto.x25519.generate().publicKey;
    const signature = signWithLabel(crypto, privateKey, 'QueueClient', queueKey);
    return { authKey, queueKey, signature };
  };
  const same = request();
  const create = (what: ReturnType<typeof request>, by = user) =>
    world.client.createClient(what, { sign: by.sign });
  const first = await create(same);
  expect(await create(same)).toEqual(first);
  await expect(create(same, other)).rejects.toEqual(refused('ALREADY_EXISTS'));
  await expect(create(request())).rejects.toEqual(refused('ALREADY_EXISTS'));
});

test('malformed keys and signatures make no client', async () => {
  const user = await newUser(world);
  const auth = crypto.ed25519.generate();
  const sealing = (queueKey: Uint8Array, label = 'QueueClient') => ({
    authKey: auth.publicKey,
    queueKey,
    signature: signWithLabel(crypto, auth.privateKey, label, queueKey),
  });
  const good = crypto.x25519.generate().publicKey;
  const bad = [
    { request: { ...sealing(good), authKey: new Uint8Array(31) }, field: 'auth_key' },
    { request: sealing(new Uint8Array(33)), field: 'queue_key' },
    { request: sealing(new Uint8Array(32)), field: 'public_key' },
    { request: sealing(good, 'Other'), field: 'signature' },
    { request: { ...sealing(good), signature: new Uint8Array(0) }, field: 'signature' },
  ];
  for (const { request, field } of bad) {
    const creating = world.client.createClient(request, { sign: user.sign });
    await expect(creating).rejects.toEqual(refused('MALFORMED', field));
  }
});

test('a user has ten clients at most, also when many are made at once', async () => {
  const user = await newUser(world);
  const made = await Promise.allSettled(Array.from({ length: 12 }, () => newClient(world, user)));
  const reasons = made.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
  expect(reasons).toEqual([refused('LIMIT_REACHED'), refused('LIMIT_REACHED')]);
});

test('only its user deletes a client, and may repeat it', async () => {
  const [user, other] = [await newUser(world), await newUser(world)];
  const client = await newClient(world, user);
  const request = { qsClientId: scopedWire(client.id) };
  const stealing = world.client.deleteClient(request, { sign: other.sign });
  await expect(stealing).rejects.toEqual(refused('QUEUE_UNKNOWN'));
  await world.client.deleteClient(request, { sign: user.sign });
  await world.client.deleteClient(request, { sign: user.sign });
  const left = await world.database.query({
    text: 'SELECT FROM runs WHERE client_id NOT IN (SELECT client_id FROM clients)',
  });
  expect(left).toEqual([]);
});

test('a deleted client does not come back by a replay of what made it', async () => {
  const user = await newUser(world);
  const client = await newClient(world, user);
  const replayCreation = world.lastCall();
  await world.client.deleteClient({ qsClientId: scopedWire(client.id) }, { sign: user.sign });
  await expect(replayCreation()).rejects.toEqual(refused('REPLAYED'));
});

test('a deleted client stops listening', async () => {
  const user = await newUser(world);
  const client = await newClient(world, user);
  const stream = world.client.listen({ fromSequence: 0n }, { sign: client.sign });
  const ear = stream[Symbol.asyncIterator]();
  await ear.next();
  await world.client.deleteClient({ qsClientId: scopedWire(client.id) }, { sign: user.sign });
  await expect(ear.next()).rejects.toEqual(refused('QUEUE_UNKNOWN'));
});

test('handles: the same again is fine, other content and other clients are refused', async () => {
  const [mine, other] = [await newClient(world), await newClient(world)];
  const handle = crypto.random(32);
  const binding = { groupId: scopedWire(newGroup()) };
  const register = (client: typeof mine, to: typeof binding | undefined) =>
    world.client.registerHandles({ handles: [{ handle, binding: to }] }, { sign: client.sign });
  await register(mine, undefined);
  await register(mine, undefined);
  await register(mine, binding);
  await register(mine, binding);
  await register(mine, undefined);
  const rebinding = register(mine, { groupId: scopedWire(newGroup()) });
  await expect(rebinding).rejects.toEqual(refused('ID_REUSED'));
  await expect(register(other, binding)).rejects.toEqual(refused('ALREADY_EXISTS'));
});

test('malformed handles and bindings register nothing', async () => {
  const { sign } = await newClient(world);
  const handle = crypto.random(32);
  const foreign = GroupId.of(newGroup().uuid, parseDomain('b.example'));
  const boundTo = (groupId: GroupId) => ({ handle, binding: { groupId: scopedWire(groupId) } });
  const many = Array.from({ length: 101 }, () => ({
    handle: crypto.random(32),
    binding: undefined,
  }));
  const bad = [
    [[{ handle: new Uint8Array(31), binding: undefined }], 'MALFORMED', 'handles.handle'],
    [[boundTo(newGroup()), boundTo(newGroup())], 'MALFORMED', 'twice'],
    [many, 'MALFORMED', 'more than 100'],
    [[{ handle, binding: { groupId: undefined } }], 'MALFORMED', 'group_id'],
    [[boundTo(foreign)], 'FEDERATION_DENIED', 'federation is not configured'],
  ] as const;
  for (const [handles, reason, part] of bad) {
    const registering = world.client.registerHandles({ handles }, { sign });
    await expect(registering).rejects.toEqual(refused(reason, part));
  }
});

test('a replayed release or registration changes nothing', async () => {
  const [client, groupId] = [await newClient(world), newGroup()];
  const { sign } = client;
  const handle = await bound(world, client, groupId);
  await expect(world.lastCall()()).rejects.toEqual(refused('REPLAYED'));
  await world.client.releaseHandles({ handles: [handle] }, { sign });
  const replayRelease = world.lastCall();
  const binding = { groupId: scopedWire(groupId) };
  await world.client.registerHandles({ handles: [{ handle, binding }] }, { sign });
  await expect(replayRelease()).rejects.toEqual(refused('REPLAYED'));
  await send(world, [busEvent(groupId, 1, fanOutTo([handle], message(groupId, 'here')))]);
  expect(words((await readAll(world, client)).items)).toEqual(['here']);
});

test('nobody reads, acknowledges or silences in the name of another', async () => {
  const [mine, other] = [await newClient(world), await newClient(world)];
  const sign = { key: mine.sign.key, privateKey: other.sign.privateKey };
  const unknown = {
    kind: 'qs-client' as const,
    qsClient: QsClientId.of(newGroup().uuid, mine.id.domain),
  };
  for (const forged of [sign, { key: unknown, privateKey: mine.sign.privateKey }]) {
    const reading = world.client.dequeue({ fromSequence: 0n, max: 0 }, { sign: forged });
    await expect(reading).rejects.toEqual(refused('UNAUTHENTICATED'));
  }
  const groupId = newGroup();
  const handle = await bound(world, mine, groupId);
  await world.client.releaseHandles({ handles: [handle] }, { sign: other.sign });
  await send(world, [busEvent(groupId, 1, fanOutTo([handle], message(groupId, 'still')))]);
  expect(words((await readAll(world, mine)).items)).toEqual(['still']);
});

test('a record of another homeserver is answered with what is missing', async () => {
  const { sign, id } = await newClient(world);
  const qsClient = QsClientId.of(id.uuid, parseDomain('b.example'));
  const foreign = { key: { kind: 'qs-client' as const, qsClient }, privateKey: sign.privateKey };
  const reading = world.client.dequeue({ fromSequence: 0n, max: 0 }, { sign: foreign });
  await expect(reading).rejects.toEqual(
    refused('FEDERATION_DENIED', 'federation is not configured'),
  );
});

test('friendship tokens grow by version; 8,192 fit and no more', async () => {
  const { sign } = await newUser(world);
  const hashes = (count: number) => Array.from({ length: count }, () => crypto.random(32));
  const set = (tokenHashes: Uint8Array[], version: bigint) =>
    world.client.setFriendshipTokens({ tokenHashes, version }, { sign });
  await set(hashes(8_192), 2n);
  await set(hashes(3), 2n);
  await expect(set(hashes(3), 1n)).rejects.toEqual(refused('ID_REUSED'));
  await expect(set(hashes(8_193), 3n)).rejects.toEqual(refused('MALFORMED', 'more than 8192'));
  await expect(set(hashes(1), 0n)).rejects.toEqual(refused('MALFORMED', 'version'));
  await expect(set([new Uint8Array(31)], 4n)).rejects.toEqual(refused('MALFORMED', 'token_hashes'));
  await expect(set(hashes(1), 2n ** 63n)).rejects.toEqual(refused('MALFORMED', 'version'));
  const rows = await world.database.query({ text: 'SELECT FROM friendship_tokens' });
  expect(rows).toHaveLength(8_192);
});
