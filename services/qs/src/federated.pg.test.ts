// A queuing service that exchanges messages with other homeservers: their hubs deliver here, by the gateway.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { GroupId, parseDomain, scopedWire } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { ClaimAddPackagesResponse } from '@roost/proto/roost/queue/v1/queue';
import type { ForwardedCall } from '@roost/rpc/destination';

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
  world = await openWorld({}, new RecordingPush(), async (call) => {
    forwarded.push(call);
    return ClaimAddPackagesResponse.encode({ addPackages: [] }).finish();
  });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const groupAt = (hub = b) => GroupId.of(newGroup().uuid, hub);

/** A member of a group of B's. */
async function scene(groupId = groupAt()) {
  const client = await newClient(world);
  const handle = await bound(world, client, groupId);
  const event = (n: number, id = groupId) =>
    busEvent(id, n, fanOutTo([handle], message(id, `message ${n}`)));
  return { groupId, event, read: async () => words((await readAll(world, client)).items) };
}

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
