import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { BadCommitKind, DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, connect } from '@roost/rpc/client';
import type { Outgoing, Transport } from '@roost/rpc/call';
import { makeApplication } from '@roost/mls/testing';
import {
  found,
  leaveProposal,
  prepare,
  prepareJoin,
  prepareResync,
  together,
} from './testing/deeds.fixture.ts';
import { dump } from './testing/expect.fixture.ts';
import { home, openHouse } from './testing/house.fixture.ts';
import type { DeliveryClient, House } from './testing/house.fixture.ts';
import { asMember, asNew, foundingOf, newRoom, person, where } from './testing/people.fixture.ts';
import type { Person } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

/** Calls that change something, each made ready to be asked once. */
const CALLS: Readonly<Record<string, () => Promise<(by: DeliveryClient) => Promise<unknown>>>> = {
  createGroup: async () => {
    const [alice, room] = [await person('alice'), newRoom()];
    const request = await foundingOf(alice, room, 'group');
    return async (by) => await by.createGroup(request, asNew(alice));
  },
  commit: async () => {
    const { room, alice } = await pair();
    const { request } = await prepare(alice, room, { add: [await person('carol')] });
    return async (by) => await by.commit(request, asMember(alice));
  },
  joinGroup: async () => {
    const [alice, bob] = [await person('alice'), await person('bob')];
    const secret = nodeCrypto.random(32);
    const room = await found(house, alice, 'dm', secret);
    const { request } = await prepareJoin(house, bob, room, secret);
    return async (by) => await by.joinGroup(request, asNew(bob));
  },
  resync: async () => {
    const { room, bob } = await pair();
    const { request } = await prepareResync(house, bob, room);
    return async (by) => await by.resync(request, asMember(bob));
  },
  propose: async () => {
    const { room, bob } = await pair();
    const proposal = { tls: await leaveProposal(bob) };
    return async (by) => await by.propose({ ...where(room), proposal }, asMember(bob));
  },
  sendMessage: async () => {
    const { room, alice } = await pair();
    const message = { tls: await makeApplication(alice.actor, utf8('once')) };
    return async (by) => await by.sendMessage({ ...where(room), message }, asMember(alice));
  },
  updateQueueConfig: async () => {
    const { room, bob } = await pair();
    const { queueConfig } = await person('moved');
    return async (by) => await by.updateQueueConfig({ ...where(room), queueConfig }, asMember(bob));
  },
  reportBadCommit: async () => {
    const { room, bob } = await pair();
    const request = { ...where(room), epoch: 1n, kind: BadCommitKind.POLICY };
    return async (by) => await by.reportBadCommit(request, asMember(bob));
  },
  publishRoom: async () => {
    const alice = await person('alice');
    const room = await found(house, alice, 'public');
    const keys = { linkWrapperKey: room.earKey, participantKey: room.earKey };
    const request = { ...where(room), ...keys, name: 'Once' };
    return async (by) => await by.publishRoom(request, asMember(alice));
  },
  unpublishRoom: async () => {
    const alice = await person('alice');
    const room = await found(house, alice, 'public');
    return async (by) => await by.unpublishRoom(where(room), asMember(alice));
  },
  deleteGroup: async () => {
    const alice = await person('alice');
    const room = await found(house, alice);
    return async (by) => await by.deleteGroup(where(room), asMember(alice));
  },
};

const READS = /^(get|find)/;
/** These have no id of their own: signed anew they are new, and end where the first did. */
const BY_NONCE = new Set(['updateQueueConfig', 'publishRoom', 'unpublishRoom']);

async function pair() {
  const { room, people } = await together(house, 'alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  return { room, alice, bob };
}

test('every method that changes something is asked again', () => {
  const changing = Object.keys(DeliveryServiceDefinition.methods).filter(
    (name) => !READS.test(name),
  );
  expect(Object.keys(CALLS).toSorted()).toEqual(changing.toSorted());
});

test.each(Object.keys(CALLS))(
  '%s, whose answer was lost, is answered as before and changes nothing',
  async (name) => {
    const ask = await CALLS[name]?.();
    if (ask === undefined) throw new Error('there is such a call');
    const taken: Outgoing[] = [];
    await using channel = connected(taken);
    const first = await ask(channel.client);
    const [sent] = taken;
    if (sent === undefined) throw new Error('it was sent');
    const before = await dump(house.database, LASTING);
    house.clock.advance(1_000);
    // Byte for byte, as a network may repeat it.
    await channel.transport.unary(sent);
    expect(await dump(house.database, LASTING)).toBe(before);
    // And signed anew, as a client asks that heard nothing.
    expect(await ask(channel.client)).toEqual(first);
    if (BY_NONCE.has(name)) return;
    expect(await dump(house.database, LASTING)).toBe(before);
  },
);

/** What is left when all was delivered; the queue config is written again with each new request. */
const LASTING = ['groups', 'rosters', 'states', 'log', 'accepted', 'public_rooms', 'outbox_heads'];

interface Channel extends AsyncDisposable {
  readonly client: DeliveryClient;
  readonly transport: Transport;
}

function connected(taken: Outgoing[]): Channel {
  const channel = connect(house.address);
  const transport: Transport = {
    unary: async (call) => {
      taken.push(call);
      return await channel.unary(call);
    },
    stream: (call) => channel.stream(call),
  };
  const signing = { crypto: nodeCrypto, clock: house.clock, audience: home };
  return {
    client: clientOf(DeliveryServiceDefinition, transport, signing),
    transport: channel,
    [Symbol.asyncDispose]: async () => channel.close(),
  };
}
