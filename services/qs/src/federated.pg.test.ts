// A queuing service that exchanges messages with other homeservers: their hubs deliver here, by the gateway.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Domain, GroupId, parseDomain, scopedWire } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import {
  ClaimAddPackagesResponse,
  QueueServiceDefinition,
} from '@roost/proto/roost/queue/v1/queue';
import { clientOf, type Transport } from '@roost/rpc/call';
import { type ForwardedCall, GATEWAY } from '@roost/rpc/destination';
import { localTransport } from '@roost/rpc/local';

import { RecordingPush } from './push.fixture.ts';
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
  type World,
} from './world.fixture.ts';

const [b, c] = [parseDomain('b.example'), parseDomain('c.example')];
const forwarded: ForwardedCall[] = [];
let world: World;

beforeAll(async () => {
  const forward = async (call: ForwardedCall) => {
    forwarded.push(call);
    return ClaimAddPackagesResponse.encode({ addPackages: [] }).finish();
  };
  const queueLimits = { take: async (_: Domain, of: readonly object[]) => of.map(() => true) };
  world = await openWorld({}, new RecordingPush(), { forward, queueLimits });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const groupAt = (hub = b) => GroupId.of(newGroup().uuid, hub);

/** A member of a group of B's. */
async function scene(groupId = groupAt()) {
  const user = await newUser(world);
  const client = await newClient(world, user);
  const handle = await bound(world, client, groupId);
  const event = (n: number, id = groupId) =>
    busEvent(id, n, fanOutTo([handle], message(id, `message ${n}`)));
  const read = async () => words((await readAll(world, client)).items);
  return { groupId, client, handle, event, read, owner: { sign: user.sign } };
}

/** The QS as the gateway calls it, in the name of another homeserver. */
const asks = (source: Domain) => {
  const transport = localTransport(world.bindings, GATEWAY);
  const unary: Transport['unary'] = async (call) => await transport.unary({ ...call, source });
  return clientOf(QueueServiceDefinition, { ...transport, unary });
};

test('another hub delivers for its group, in order and once', async () => {
  const { groupId, event, read } = await scene();
  await send(world, [event(1)], b);
  const answer = await send(world, [event(1), event(2)], b);
  expect(answer).toEqual({ marks: [{ groupId, mark: pair(2) }], gone: [] });
  expect(await read()).toEqual(['message 1', 'message 2']);
});

test('a hub delivers for its own groups alone: not for ours, not for those of a third', async () => {
  const { event, read } = await scene();
  for (const source of [domain, c]) {
    await expect(send(world, [event(1)], source)).rejects.toMatchObject({
      reason: 'FEDERATION_DENIED',
    });
  }
  expect(await read()).toEqual([]);
});

test('a handle that leaked is of no use to another hub, nor for another group', async () => {
  const { groupId, event, read } = await scene();
  const [theirs, other] = [GroupId.of(groupId.uuid, c), groupAt()];
  // As if nothing had happened: whether a handle is bound elsewhere is told to nobody.
  expect(await send(world, [event(1, theirs)], c)).toMatchObject({ gone: [] });
  expect(await send(world, [event(1, other)], b)).toMatchObject({ gone: [] });
  expect(await read()).toEqual([]);
});

test('groups of two hubs have marks of their own, though their ids are alike', async () => {
  const one = await scene();
  const two = await scene(GroupId.of(one.groupId.uuid, c));
  await send(world, [one.event(1), one.event(2)], b);
  await send(world, [two.event(1)], c);
  expect([await one.read(), await two.read()]).toEqual([['message 1', 'message 2'], ['message 1']]);
});

test('a claim for a group of another hub binds to that hub', async () => {
  const user = await newUser(world);
  const client = await newClient(world, user);
  const [token, handle, groupId] = [crypto.random(32), crypto.random(32), groupAt()];
  const request = { tokenHashes: [crypto.sha256(token)], version: 1n };
  await world.client.setFriendshipTokens(request, { sign: user.sign });
  const addPackages = [await addPackage({ handle }), await addPackage({ isLastResort: true })];
  await world.client.publishAddPackages({ addPackages }, { sign: client.sign });
  const claimed = await world.client.claimAddPackages({
    ...{ claimId: crypto.random(16), ownerDomain: domain, friendshipToken: token },
    groupId: scopedWire(groupId),
  });
  expect(claimed.addPackages).toHaveLength(1);
  const event = busEvent(groupId, 1, fanOutTo([handle], message(groupId, 'welcome')));
  await send(world, [event], b);
  expect(words((await readAll(world, client)).items)).toEqual(['0 left', 'welcome']);
});

test('a silenced handle answers another hub as a delivery does, and a deleted client only its own hub', async () => {
  const [one, two] = [await scene(), await scene()];
  const { client, handle, groupId, event } = one;
  const silence = async (silenced: boolean) =>
    await world.client.silenceHandles({ handles: [handle], silenced }, { sign: client.sign });
  await silence(true);
  const silenced = await send(world, [event(1)], b);
  expect(silenced).toEqual({ marks: [{ groupId, mark: pair(1) }], gone: [] });
  expect(await send(world, [two.event(1)], b)).toEqual({
    ...{ marks: [{ groupId: two.groupId, mark: pair(1) }], gone: [] },
  });
  await silence(false);
  await send(world, [event(2)], b);
  expect(await one.read()).toEqual(['message 2']);

  await world.client.deleteClient({ qsClientId: scopedWire(two.client.id) }, two.owner);
  const leaked = GroupId.of(two.groupId.uuid, c);
  expect(await send(world, [two.event(1, leaked)], c)).toMatchObject({ gone: [] });
  expect(await send(world, [two.event(2)], b)).toMatchObject({
    gone: [{ groupId: two.groupId, handle: two.handle }],
  });
});

test('a handle that its owner gave up, or that nobody made, takes nothing and goes nowhere', async () => {
  const { client, handle, event, read } = await scene();
  await send(world, [event(1)], b);
  await world.client.releaseHandles({ handles: [handle] }, { sign: client.sign });
  const calls = forwarded.length;
  expect(await send(world, [event(2)], b)).toMatchObject({ gone: [] });
  const groupId = groupAt();
  const nobody = fanOutTo([crypto.random(32)], message(groupId, 'to nobody'));
  expect(await send(world, [busEvent(groupId, 1, nobody)], b)).toMatchObject({ gone: [] });
  expect(await read()).toEqual(['message 1']);
  // Nothing that comes from elsewhere is passed on (open relay).
  expect(forwarded).toHaveLength(calls);
});

test('several last resorts take turns by who claims, whatever hub the group has', async () => {
  const user = await newUser(world);
  const [client, token] = [await newClient(world, user), crypto.random(32)];
  const request = { tokenHashes: [crypto.sha256(token)], version: 1n };
  await world.client.setFriendshipTokens(request, { sign: user.sign });
  const two = [await addPackage({ isLastResort: true }), await addPackage({ isLastResort: true })];
  await world.client.publishAddPackages({ addPackages: two }, { sign: client.sign });
  const claim = async (source: Domain, hub: Domain) => {
    const { addPackages } = await asks(source).claimAddPackages({
      ...{ claimId: crypto.random(16), ownerDomain: domain, friendshipToken: token },
      groupId: scopedWire(groupAt(hub)),
    });
    return addPackages[0]?.keyPackage?.tls.toString();
  };
  expect(await claim(b, b)).toEqual(await claim(b, c));
  const sources = ['b.example', 'c.example', 'd.example', 'e.example'].map((d) => parseDomain(d));
  const got = await Promise.all(sources.map(async (source) => await claim(source, b)));
  expect(new Set(got).size).toBe(2);
});

test('what another homeserver asks of a third one through us is refused, and asked of nobody', async () => {
  const calls = forwarded.length;
  const request = {
    ...{ claimId: crypto.random(16), ownerDomain: c, friendshipToken: crypto.random(32) },
    groupId: scopedWire(groupAt()),
  };
  await expect(asks(b).claimAddPackages(request)).rejects.toMatchObject({
    reason: 'FEDERATION_DENIED',
  });
  expect(forwarded).toHaveLength(calls);
});

test('a claim of what another homeserver has goes there', async () => {
  const request = {
    ...{ claimId: crypto.random(16), ownerDomain: b, friendshipToken: crypto.random(32) },
    groupId: scopedWire(groupAt(domain)),
  };
  expect(await world.client.claimAddPackages(request)).toEqual({ addPackages: [] });
  expect(forwarded).toMatchObject([
    { destination: b, method: '/roost.queue.v1.QueueService/ClaimAddPackages' },
  ]);
});
