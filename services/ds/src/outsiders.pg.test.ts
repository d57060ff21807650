import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId, scopedWire } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeRoomState, roleOf, parseParticipantId } from '@roost/mls/room';
import { makeApplication } from '@roost/mls/testing';
import { BadCommitKind, DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf } from '@roost/rpc/call';
import type { Outgoing, Transport } from '@roost/rpc/call';
import { connect } from '@roost/rpc/client';
import { dump, expectRefusal } from './testing/expect.fixture.ts';
import { home, openHouse, quiet } from './testing/house.fixture.ts';
import type { DeliveryClient, House } from './testing/house.fixture.ts';
import {
  catchUp,
  commit,
  found,
  leaveProposal,
  prepare,
  roomSeenBy,
  send,
} from './testing/deeds.fixture.ts';
import { NOTHING, asMember, asNew, newRoom, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

/** Every method that a member may call, as this person calls it. */
async function everyMethod(
  who: Person,
  room: Room,
): Promise<Record<string, () => Promise<unknown>>> {
  const { client } = house;
  const at = where(room);
  const { request } = await prepare(who, room);
  const message = { tls: await makeApplication(who.actor, utf8('hello')) };
  const proposal = { tls: await leaveProposal(who) };
  return {
    commit: async () => await client.commit({ ...request, ...at }, asMember(who)),
    propose: async () => await client.propose({ ...at, proposal }, asMember(who)),
    sendMessage: async () => await client.sendMessage({ ...at, message }, asMember(who)),
    getJoinInfo: async () => await client.getJoinInfo({ ...at, epoch: 1n }, asMember(who)),
    getGroupInfo: async () => await client.getGroupInfo(at, asMember(who)),
    resync: async () =>
      await client.resync({ ...at, ...request, queueConfig: NOTHING }, asMember(who)),
    reportBadCommit: async () =>
      await client.reportBadCommit(
        { ...at, epoch: 1n, kind: BadCommitKind.PATH_SECRET },
        asMember(who),
      ),
    publishRoom: async () =>
      await client.publishRoom(
        { ...at, name: 'Open', linkWrapperKey: at.earKey, participantKey: at.earKey },
        asMember(who),
      ),
    unpublishRoom: async () => await client.unpublishRoom(at, asMember(who)),
    getLog: async () => await client.getLog({ ...at, fromEpoch: 1n }, asMember(who)),
    updateQueueConfig: async () =>
      await client.updateQueueConfig({ ...at, queueConfig: who.queueConfig }, asMember(who)),
    deleteGroup: async () => await client.deleteGroup(at, asMember(who)),
    getExternalJoinInfo: async () =>
      await client.getExternalJoinInfo(
        { ...at, joinSecret: NOTHING, participant: NOTHING },
        asNew(who),
      ),
    joinGroup: async () =>
      await client.joinGroup(
        { ...at, ...request, joinSecret: NOTHING, queueConfig: who.queueConfig },
        asNew(who),
      ),
  };
}

/** These ask for no membership. */
const FOR_EVERYBODY = new Set(['createGroup', 'getExternalSender', 'findRooms']);

const hidden = async ({ database }: House, room: Room): Promise<string> =>
  (await dump(database))
    .split('\n')
    .filter((row) => row.includes(room.id.uuid))
    .join('\n');

async function threeTogether(): Promise<{ room: Room; alice: Person; bob: Person; carol: Person }> {
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob, carol] });
  await quiet(house);
  await catchUp(house, bob, room);
  return { room, alice, bob, carol };
}

/** What a refusal says to its caller, byte for byte. */
async function heard(call: () => Promise<unknown>): Promise<unknown> {
  const error: unknown = await call().then(
    () => 'accepted',
    (refusal: unknown) => refusal,
  );
  if (!(error instanceof Failure)) return error;
  const { reason, message, facts } = error;
  return JSON.stringify({ reason, message, facts });
}

test('a removed member gets nothing from any method, with its old leaf key and the EAR key', async () => {
  const { room, alice, bob } = await threeTogether();
  await commit(house, alice, room, { remove: [bob] });
  await quiet(house);
  const before = await hidden(house, room);
  const methods = await everyMethod(bob, room);
  const all = Object.keys(DeliveryServiceDefinition.methods);
  expect(Object.keys(methods).toSorted()).toEqual(
    all.filter((name) => !FOR_EVERYBODY.has(name)).toSorted(),
  );
  for (const call of Object.values(methods)) await expectRefusal(call(), 'GROUP_UNKNOWN');
  expect(await hidden(house, room)).toBe(before);
  await send(house, alice, room, 'among us');
  await quiet(house);
  expect(house.receiver.queueOf(bob.handle).map(({ kind }) => kind)).toEqual(['welcome', 'commit']);
});

test('a removed member gets nothing from a replica that still has it in memory', async () => {
  const { room, alice, bob, carol } = await threeTogether();
  await using other = await openHouse({ database: house.database, receiver: house.receiver });
  await send(other, bob, room, 'still here');
  await other.client.getLog({ ...where(room), fromEpoch: 1n }, asMember(bob));
  await commit(house, alice, room, { remove: [bob] });
  await expectRefusal(send(other, bob, room, 'still here?'), 'GROUP_UNKNOWN');
  const reading = other.client.getLog({ ...where(room), fromEpoch: 1n }, asMember(bob));
  await expectRefusal(reading, 'GROUP_UNKNOWN');
  await other.client.getLog({ ...where(room), fromEpoch: 1n }, asMember(carol));
});

test('no group, no member and another EAR key are one answer, byte for byte', async () => {
  const { room, bob } = await threeTogether();
  const nowhere = { ...room, id: newRoom().id };
  const otherKey = { ...room, earKey: nodeCrypto.random(32) };
  const stranger = { ...bob, leafKey: NOTHING, actor: bob.actor };
  const outsider = await person('mallory');
  const methods = ['getLog', 'getJoinInfo', 'updateQueueConfig', 'deleteGroup'] as const;
  const strangers: (readonly [Person, Room])[] = [
    [bob, nowhere],
    [bob, otherKey],
    [{ ...stranger, leafKey: outsider.leafKey, actor: outsider.actor }, room],
  ];
  const { client } = house;
  const answers = new Set<unknown>();
  for (const [who, at] of strangers) {
    const calls = {
      getLog: async () => await client.getLog({ ...where(at), fromEpoch: 0n }, asMember(who)),
      getJoinInfo: async () => await client.getJoinInfo({ ...where(at), epoch: 1n }, asMember(who)),
      updateQueueConfig: async () =>
        await client.updateQueueConfig(
          { ...where(at), queueConfig: who.queueConfig },
          asMember(who),
        ),
      deleteGroup: async () => await client.deleteGroup(where(at), asMember(who)),
    };
    for (const method of methods) answers.add(await heard(calls[method]));
  }
  expect([...answers]).toHaveLength(1);

  const secret = nodeCrypto.random(32);
  const dm = await found(house, await person('dora'), 'dm', secret);
  const join = async (at: Room, joinSecret: Uint8Array) =>
    await heard(
      async () =>
        await client.getExternalJoinInfo(
          { ...where(at), joinSecret, participant: NOTHING },
          asNew(outsider),
        ),
    );
  answers.add(await join(dm, nodeCrypto.random(32)));
  answers.add(await join({ ...dm, earKey: nodeCrypto.random(32) }, secret));
  answers.add(await join({ ...dm, id: newRoom().id }, secret));
  answers.add(await join(room, secret));
  expect([...answers]).toHaveLength(1);
});

test('malformed input gets a reason, changes nothing, and does not stop what comes next', async () => {
  const { client } = house;
  const { room, alice, bob } = await threeTogether();
  const before = await hidden(house, room);
  const { request } = await prepare(alice, room);
  const tls = await makeApplication(alice.actor, utf8('hello'));
  const at = where(room);
  const cut = (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 1);
  const longer = (bytes: Uint8Array) => Uint8Array.of(...bytes, 0);
  const flipped = (bytes: Uint8Array, place: number) => {
    const copy = Uint8Array.from(bytes);
    copy[place] = (copy[place] ?? 0) ^ 0x40;
    return copy;
  };
  const commitTls = request.commit?.tls ?? NOTHING;
  const groupInfo = request.groupInfo?.tls ?? NOTHING;
  const commits = [
    { ...request, groupId: undefined },
    { ...request, groupId: { uuid: new Uint8Array(3), domain: home } },
    { ...request, earKey: room.earKey.subarray(1) },
    { ...request, commit: undefined },
    { ...request, commit: { tls: NOTHING } },
    { ...request, commit: { tls: cut(commitTls) } },
    { ...request, commit: { tls: longer(commitTls) } },
    { ...request, commit: { tls } },
    { ...request, commit: { tls: await leaveProposal(alice) } },
    { ...request, groupInfo: undefined },
    { ...request, groupInfo: { tls: cut(groupInfo) } },
    { ...request, groupInfo: { tls: flipped(groupInfo, groupInfo.length - 1) } },
    { ...request, welcome: { tls: groupInfo } },
    { ...request, joinerInfos: [{ keyPackageRef: NOTHING, sealed: tls }] },
    { ...request, joinerInfos: [{ keyPackageRef: nodeCrypto.random(32), sealed: tls }] },
    { ...request, groupId: scopedWire(newRoom().id) },
  ];
  alice.actor.state = { ...(alice.actor.state ?? fail()), unappliedProposals: {} };
  // The last 33 bytes are the membership tag, which only members can check.
  for (let place = 0; place < commitTls.length - 33; place += 19) {
    commits.push({ ...request, commit: { tls: flipped(commitTls, place) } });
  }
  const messages = [cut(tls), longer(tls), NOTHING, commitTls, new Uint8Array(262_145)];
  const sends = messages.map((message) => ({ ...at, message: { tls: message } }));
  const random = Array.from({ length: 20 }, () => ({ tls: nodeCrypto.random(200) }));
  const calls = [
    ...commits.map((bad) => async () => {
      // Unlike the conflict of a lost race, none of these may be taken for an answer.
      const { result } = await client.commit(bad, asMember(alice));
      return result;
    }),
    ...sends.map((bad) => async () => await client.sendMessage(bad, asMember(alice))),
    ...random.map(
      (bad) => async () => await client.propose({ ...at, proposal: bad }, asMember(bob)),
    ),
    ...random.map(
      (bad) => async () => await client.sendMessage({ ...at, message: bad }, asMember(bob)),
    ),
  ];
  for (const call of calls) {
    const error: unknown = await call().catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ name: 'Failure' });
  }
  expect(await hidden(house, room)).toBe(before);
  const { result } = await client.commit(request, asMember(alice));
  expect(result?.$case).toBe('accepted');
});

test('a commit longer than its group can need is not looked at, nor one of a stranger', async () => {
  const { room, alice } = await threeTogether();
  const { request } = await prepare(alice, room);
  const long = { ...request, commit: { tls: new Uint8Array(600_000) } };
  await expectRefusal(house.client.commit(long, asMember(alice)), 'TOO_LARGE');
  const short = { ...request, commit: { tls: new Uint8Array(100) } };
  await expectRefusal(house.client.commit(short, asMember(alice)), 'INVALID_MLS');
  const stranger = await person('eve');
  await expectRefusal(house.client.commit(short, asMember(stranger)), 'GROUP_UNKNOWN');
});

test('a request that is replayed changes nothing, and one for another method is none', async () => {
  const { room, alice, bob } = await threeTogether();
  const taken: Outgoing[] = [];
  await using recorder = recording(taken);
  const first = { ...where(room), queueConfig: bob.queueConfig };
  await recorder.client.updateQueueConfig(first, asMember(bob));
  const moved = await person('moved');
  const second = { ...where(room), queueConfig: moved.queueConfig };
  await recorder.client.updateQueueConfig(second, asMember(bob));
  const [old = fail()] = taken;
  await recorder.transport.unary(old);
  const elsewhere = { ...old, path: old.path.replace('UpdateQueueConfig', 'DeleteGroup') };
  await expectRefusal(recorder.transport.unary(elsewhere), 'UNAUTHENTICATED');
  await send(house, alice, room, 'hello');
  await quiet(house);
  expect(house.receiver.queueOf(moved.handle)).toHaveLength(1);
});

test('the disk of the DS tells nothing of who is in a group', async () => {
  await using apart = await openHouse();
  apart.receiver.isAway = true;
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(apart, alice);
  const title = utf8('a title that nobody reads');
  await commit(apart, alice, room, {
    add: [bob],
    room: { ...roomSeenBy(alice), sealedTitle: title },
  });
  const tls = await send(apart, alice, room, 'hello');
  const proposal = { tls: await leaveProposal(alice) };
  await expectRefusal(
    apart.client.propose({ ...where(room), proposal }, asMember(alice)),
    'NOT_ALLOWED',
  );

  const text = await dump(apart.database);
  for (const table of ['rosters', 'states', 'join_infos', 'log', 'accepted', 'outbox']) {
    expect(text).toContain(`${table} {`);
  }
  const state = roomSeenBy(alice);
  expect(roleOf(state, parseParticipantId(alice.participantId))).toBe('owner');
  const secrets = [
    ...[alice, bob].flatMap((who) => [who.leafKey, who.participantId, who.handle]),
    ...[alice, bob].map(({ wrappedLinkKey }) => wrappedLinkKey),
    room.earKey,
    title,
    encodeRoomState(state).subarray(2, 20),
    tls.subarray(40, 72),
    nodeCrypto.sha256(tls),
    utf8(printId(room.id)),
  ];
  for (const secret of secrets) {
    expect(text).not.toContain(toHex(secret));
    expect(text).not.toContain(Buffer.from(secret).toString('base64'));
  }
});

interface Recorder extends AsyncDisposable {
  readonly client: DeliveryClient;
  readonly transport: Transport;
}

/** A client whose requests can be sent again as they were. */
function recording(taken: Outgoing[]): Recorder {
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

function fail(): never {
  throw new Error('there is one');
}
