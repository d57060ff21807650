import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeGroupEvent } from '@roost/bus/group-event';
import { utf8 } from '@roost/core/bytes';
import { GroupId, parseDomain, scopedWire } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeAddedLeaf } from '@roost/identity/leaf';
import { externalSenderOf } from '@roost/mls/hub';
import { parseParticipantId, withRole } from '@roost/mls/room';
import { joinByWelcome, makeApplication } from '@roost/mls/testing';
import { wrongStatements } from '@roost/testing/statements';
import { dsDefaults } from './config.ts';
import { sweepExpired } from './sweeper.ts';
import { dump, expectRefusal } from './testing/expect.fixture.ts';
import { home, hubKey, openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import {
  catchUp,
  commit,
  epochOf,
  found,
  prepare,
  roomSeenBy,
  send,
} from './testing/deeds.fixture.ts';
import {
  NOTHING,
  addedLeafOf,
  asMember,
  asNew,
  foundingOf,
  newRoom,
  person,
  roomStateOf,
  where,
} from './testing/people.fixture.ts';
import type { Person } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const kinds = (who: Person) => house.receiver.queueOf(who.handle).map(({ kind }) => kind);

test('every statement fits the schema', async () => {
  expect(await wrongStatements(house.database)).toEqual({});
});

test('members are added, talk and converge; each hears of everything but its own', async () => {
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice);
  expect(await commit(house, alice, room, { add: [bob, carol] })).toBe(1n);
  await quiet(house);
  await catchUp(house, bob, room);
  await catchUp(house, carol, room);
  expect(epochOf(bob)).toEqual(epochOf(alice));

  await commit(house, bob, room);
  await quiet(house);
  await catchUp(house, alice, room);
  await catchUp(house, carol, room, 1);
  expect(epochOf(carol)).toEqual(epochOf(bob));
  expect(epochOf(alice)).toEqual(epochOf(bob));

  const tls = await send(house, carol, room, 'hello');
  await quiet(house);
  expect(kinds(alice)).toEqual(['commit', 'application']);
  expect(kinds(bob)).toEqual(['welcome', 'application']);
  expect(kinds(carol)).toEqual(['welcome', 'commit']);
  expect(house.receiver.queueOf(alice.handle)[1]).toMatchObject({ mlsMessage: tls, epoch: 2n });
});

test('a group is founded once: the same content gets the same answer, other content none', async () => {
  const [alice, room] = [await person('alice'), newRoom()];
  const request = await foundingOf(alice, room, 'group');
  const first = await house.client.createGroup(request, asNew(alice));
  house.clock.advance(1_000);
  expect(await house.client.createGroup(request, asNew(alice))).toEqual(first);

  const { client } = house;
  const otherKey = { ...request, earKey: nodeCrypto.random(32) };
  await expectRefusal(client.createGroup(otherKey, asNew(alice)), 'ID_REUSED');
  const mallory = await person('mallory');
  const others = await foundingOf(mallory, room, 'group');
  await expectRefusal(client.createGroup(others, asNew(mallory)), 'ID_REUSED');
});

test('everybody may ask by which key this hub proposes', async () => {
  const { externalSender } = await house.client.getExternalSender({});
  const publicKey = nodeCrypto.ed25519.publicKey(hubKey);
  expect(externalSender).toEqual(externalSenderOf(publicKey, home));
});

test('a group is founded by its only member, as owner of a room of its own', async () => {
  const { client } = house;
  const [alice, bob, room] = [await person('alice'), await person('bob'), newRoom()];
  const request = await foundingOf(alice, room, 'group');

  await expectRefusal(client.createGroup(request, asNew(bob)), 'UNAUTHENTICATED');
  const elsewhere = GroupId.of(room.id.uuid, parseDomain('other.example'));
  const foreign = { ...request, groupId: scopedWire(elsewhere) };
  await expectRefusal(client.createGroup(foreign, asNew(alice)), 'FEDERATION_DENIED');
  const another = { ...request, groupId: scopedWire(newRoom().id) };
  await expectRefusal(client.createGroup(another, asNew(alice)), 'MALFORMED');
  const addedLeaf = encodeAddedLeaf(addedLeafOf(bob));
  await expectRefusal(client.createGroup({ ...request, addedLeaf }, asNew(alice)), 'MALFORMED');
  const joinSecretHash = nodeCrypto.random(32);
  const secret = { ...request, joinSecretHash };
  await expectRefusal(client.createGroup(secret, asNew(alice)), 'MALFORMED');

  const state = roomStateOf(bob, 'group');
  const bobs = await foundingOf(alice, room, 'group', { state });
  await expectRefusal(client.createGroup(bobs, asNew(alice)), 'NOT_ALLOWED');
  const named = await person('alice', { identity: utf8('alice@example.org') });
  const unveiled = await foundingOf(named, room, 'group');
  await expectRefusal(client.createGroup(unveiled, asNew(named)), 'MALFORMED');
  const afar = await person('afar', { domain: parseDomain('other.example') });
  const distant = await foundingOf(afar, room, 'group');
  await expectRefusal(client.createGroup(distant, asNew(afar)), 'FEDERATION_DENIED');
  const closed = await foundingOf(alice, room, 'group', { externalSenders: [] });
  await expectRefusal(client.createGroup(closed, asNew(alice)), 'MALFORMED');
  const { publicKey } = nodeCrypto.ed25519.generate();
  const externalSenders = [externalSenderOf(publicKey, home)];
  const usurped = await foundingOf(alice, room, 'group', { externalSenders });
  await expectRefusal(client.createGroup(usurped, asNew(alice)), 'MALFORMED');

  await client.createGroup(await foundingOf(alice, room, 'group'), asNew(alice));
});

test('a commit names exactly those whom it adds, and says how each is reached', async () => {
  const { client } = house;
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice);
  const refused = async (changes: Parameters<typeof prepare>[2], reason: 'MALFORMED') => {
    const { request } = await prepare(alice, room, changes);
    await expectRefusal(client.commit(request, asMember(alice)), reason);
  };
  await refused({ add: [bob, carol], declared: [carol, bob] }, 'MALFORMED');
  await refused({ add: [bob], declared: [] }, 'MALFORMED');
  await refused({ add: [bob], declared: [bob, carol] }, 'MALFORMED');
  await refused({ add: [bob], authenticatedData: NOTHING }, 'MALFORMED');

  const { request, made } = await prepare(alice, room, { add: [bob, carol] });
  const [first] = request.joinerInfos;
  const fewer = { ...request, joinerInfos: request.joinerInfos.slice(1) };
  await expectRefusal(client.commit(fewer, asMember(alice)), 'WELCOME_MISMATCH');
  const twice = { ...request, joinerInfos: [first ?? fail(), first ?? fail()] };
  await expectRefusal(client.commit(twice, asMember(alice)), 'MALFORMED');
  const none = { ...request, welcome: undefined };
  await expectRefusal(client.commit(none, asMember(alice)), 'WELCOME_MISMATCH');
  const old = { ...request, groupInfo: (await prepare(alice, room)).request.groupInfo };
  await expectRefusal(client.commit(old, asMember(alice)), 'GROUP_INFO_MISMATCH');
  const dave = await person('dave', { domain: parseDomain('other.example') });
  const foreign = await prepare(alice, room, { add: [dave] });
  await expectRefusal(client.commit(foreign.request, asMember(alice)), 'FEDERATION_DENIED');
  const named = await person('named', { identity: utf8('bob@example.org') });
  const unveiled = await prepare(alice, room, { add: [named] });
  await expectRefusal(client.commit(unveiled.request, asMember(alice)), 'MALFORMED');

  // After all of that the group is as it was.
  const { result } = await client.commit(request, asMember(alice));
  expect(result?.$case).toBe('accepted');
  alice.actor.state = made.state;
});

test('the same commit gets the same answer and is delivered once', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice);
  const { request, made } = await prepare(alice, room, { add: [bob] });
  const first = await house.client.commit(request, asMember(alice));
  alice.actor.state = made.state;
  house.clock.advance(1_000);
  expect(await house.client.commit(request, asMember(alice))).toEqual(first);
  await quiet(house);
  expect(kinds(bob)).toEqual(['welcome']);
});

test('only owners remove others, and take out a participant with all its clients', async () => {
  const { client } = house;
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const phone = await person("bob's phone", { siblingOf: bob });
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob, phone, carol] });
  await quiet(house);
  for (const who of [bob, phone, carol]) await catchUp(house, who, room);

  const byCarol = await prepare(carol, room, { remove: [bob, phone] });
  await expectRefusal(client.commit(byCarol.request, asMember(carol)), 'NOT_ALLOWED');
  const half = await prepare(alice, room, { remove: [phone] });
  await expectRefusal(client.commit(half.request, asMember(alice)), 'NOT_ALLOWED');

  await commit(house, alice, room, { remove: [bob, phone] });
  await quiet(house);
  // Those who were removed hear the commit that removed them.
  expect(kinds(bob)).toEqual(['welcome', 'commit']);
  expect(kinds(phone)).toEqual(['welcome', 'commit']);
});

test('a further client is added and removed by its own siblings only', async () => {
  const { client } = house;
  const [alice, bob] = [await person('alice'), await person('bob')];
  const phone = await person("bob's phone", { siblingOf: bob });
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  await quiet(house);
  await catchUp(house, bob, room);

  const byAlice = await prepare(alice, room, { add: [phone] });
  await expectRefusal(client.commit(byAlice.request, asMember(alice)), 'NOT_ALLOWED');
  await commit(house, bob, room, { add: [phone] });
  await quiet(house);
  await catchUp(house, alice, room);
  const removing = await prepare(alice, room, { remove: [phone] });
  await expectRefusal(client.commit(removing.request, asMember(alice)), 'NOT_ALLOWED');
  await commit(house, bob, room, { remove: [phone] });
});

test('nobody is removed and added again by one commit', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const again = await person('bob again', { siblingOf: bob });
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  const { request } = await prepare(alice, room, { remove: [bob], add: [again] });
  await expectRefusal(house.client.commit(request, asMember(alice)), 'NOT_ALLOWED');
});

test('roles are given by owners, also to those who come back', async () => {
  const { client } = house;
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  await quiet(house);
  await catchUp(house, bob, room);

  const coup = withRole(roomSeenBy(bob), parseParticipantId(bob.participantId), 'owner');
  const byBob = await prepare(bob, room, { room: coup });
  await expectRefusal(client.commit(byBob.request, asMember(bob)), 'NOT_ALLOWED');
  const titled = { ...roomSeenBy(bob), sealedTitle: utf8('a title') };
  await commit(house, bob, room, { room: titled });
  await quiet(house);
  await catchUp(house, alice, room);

  // Carol is an owner and goes: her role is cleared by the commit that takes her out.
  const crowned = withRole(roomSeenBy(alice), parseParticipantId(carol.participantId), 'owner');
  await commit(house, alice, room, { add: [carol], room: crowned });
  const untidy = await prepare(alice, room, { remove: [carol] });
  await expectRefusal(client.commit(untidy.request, asMember(alice)), 'NOT_ALLOWED');
  await commit(house, alice, room, { remove: [carol], room: titled });
  await quiet(house);
  await catchUp(house, bob, room, 1);
  const back = await person('carol again', { siblingOf: carol });
  const byOrdinary = await prepare(bob, room, { add: [back], room: crowned });
  await expectRefusal(client.commit(byOrdinary.request, asMember(bob)), 'NOT_ALLOWED');
  await commit(house, bob, room, { add: [back] });
});

test('a message is taken for the epoch and two before it, with the current epoch told', async () => {
  const { client } = house;
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice);
  const tls = await makeApplication(alice.actor, utf8('early'));
  const early = { ...where(room), message: { tls } };
  await commit(house, alice, room, { add: [bob] });
  await commit(house, alice, room);
  await client.sendMessage(early, asMember(alice));
  const late = { ...where(room), message: { tls: await makeApplication(alice.actor, utf8('x')) } };
  await commit(house, alice, room);

  // The one that was accepted before gets its answer still; another of its epoch does not.
  await client.sendMessage(early, asMember(alice));
  await client.sendMessage(late, asMember(alice));
  await commit(house, alice, room);
  await commit(house, alice, room);
  const older = { ...where(room), message: { tls: changed(late.message.tls) } };
  await expect(client.sendMessage(older, asMember(alice))).rejects.toMatchObject({
    reason: 'EPOCH_TOO_OLD',
    facts: { currentEpoch: 5n },
  });
  const { request, made } = await prepare(alice, room);
  alice.actor.state = made.state;
  const ahead = { ...where(room), message: { tls: await makeApplication(alice.actor, utf8('x')) } };
  await expectRefusal(client.sendMessage(ahead, asMember(alice)), 'EPOCH_UNKNOWN');
  await client.commit(request, asMember(alice));
  await client.sendMessage(ahead, asMember(alice));
});

test('the same message gets the same answer, from its sender alone, and is delivered once', async () => {
  const { client } = house;
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  const tls = await makeApplication(alice.actor, utf8('hello'));
  const request = { ...where(room), message: { tls } };
  const all = await Promise.all(
    Array.from({ length: 8 }, () => client.sendMessage(request, asMember(alice))),
  );
  house.clock.advance(60_000);
  all.push(await client.sendMessage(request, asMember(alice)));
  expect(new Set(all.map(({ acceptedAtMs }) => acceptedAtMs)).size).toBe(1);
  await expectRefusal(client.sendMessage(request, asMember(bob)), 'NOT_ALLOWED');
  await quiet(house);
  expect(kinds(bob)).toEqual(['welcome', 'application']);
});

test('the log gives whole epochs in pages, and nothing from before one joined', async () => {
  await using small = await openHouse({ limits: { pageBytesMax: 5_000 } });
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(small, alice);
  await commit(small, alice, room);
  await commit(small, alice, room, { add: [bob] });
  for (let epoch = 2; epoch < 8; epoch++) await commit(small, alice, room);

  const read = async (who: Person, fromEpoch: bigint) =>
    await small.client.getLog({ ...where(room), fromEpoch }, asMember(who));
  expect((await read(bob, 0n)).events[0]?.epoch).toBe(2n);
  const epochs: bigint[] = [];
  for (let from = 0n, more = true; more;) {
    const page = await read(alice, from);
    expect(page.events.length).toBeLessThan(8);
    for (const { epoch, event } of page.events) {
      epochs.push(epoch);
      expect(decodeGroupEvent(event)).toMatchObject({ kind: 'commit', epoch });
    }
    from = (page.events.at(-1)?.epoch ?? 0n) + 1n;
    more = page.hasMore;
    expect(page.currentEpoch).toBe(8n);
  }
  expect(epochs).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]);
  expect(await read(alice, 8n)).toEqual({
    currentEpoch: 8n,
    events: [],
    hasMore: false,
    suspectEpochs: [],
  });
});

test('a joiner finds the tree of its epoch until it has committed, and nobody else does', async () => {
  const { client } = house;
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  await commit(house, alice, room, { add: [carol] });
  await commit(house, alice, room);
  await quiet(house);
  const ask = async (who: Person, epoch: bigint) =>
    await client.getJoinInfo({ ...where(room), epoch }, asMember(who));
  await expectRefusal(ask(alice, 1n), 'GROUP_UNKNOWN');
  await expectRefusal(ask(carol, 1n), 'GROUP_UNKNOWN');
  const info = await ask(bob, 1n);
  expect(info.links).toEqual([
    { leafIndex: 0, addedLeaf: encodeAddedLeaf(addedLeafOf(alice)) },
    { leafIndex: 1, addedLeaf: encodeAddedLeaf(addedLeafOf(bob)) },
  ]);
  const [welcome] = house.receiver.queueOf(bob.handle);
  expect(welcome?.kind).toBe('welcome');
  if (welcome?.kind === 'welcome') {
    await joinByWelcome(bob.actor, welcome.mlsMessage, info.ratchetTree?.tls ?? NOTHING);
  }
  await catchUp(house, bob, room, 1);
  expect(epochOf(bob)).toEqual(epochOf(alice));
  await commit(house, bob, room);
  await expectRefusal(ask(bob, 1n), 'EPOCH_TOO_OLD');
  await ask(carol, 2n);
});

test('messages go where their recipient last said, and a replayed request moves nothing', async () => {
  const { client } = house;
  const [alice, bob, moved] = [await person('alice'), await person('bob'), await person('moved')];
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob] });
  const request = { ...where(room), queueConfig: moved.queueConfig };
  await client.updateQueueConfig(request, asMember(bob));
  await send(house, alice, room, 'hello');
  await quiet(house);
  expect(kinds(bob)).toEqual(['welcome']);
  expect(kinds(moved)).toEqual(['application']);
  const afar = await person('afar', { domain: parseDomain('other.example') });
  const foreign = { ...where(room), queueConfig: afar.queueConfig };
  await expectRefusal(client.updateQueueConfig(foreign, asMember(bob)), 'FEDERATION_DENIED');
});

test('the last participant deletes its group for real; its siblings hear of it', async () => {
  const { client } = house;
  const [alice, bob] = [await person('alice'), await person('bob')];
  const phone = await person("alice's phone", { siblingOf: alice });
  const room = await found(house, alice);
  await commit(house, alice, room, { add: [bob, phone] });
  const request = where(room);
  await expectRefusal(client.deleteGroup(request, asMember(alice)), 'NOT_ALLOWED');
  await commit(house, alice, room, { remove: [bob] });
  await client.deleteGroup(request, asMember(alice));
  await client.deleteGroup(request, asMember(alice));
  await quiet(house);
  expect(kinds(phone)).toEqual(['welcome', 'commit', 'group-deleted']);
  expect(kinds(bob)).toEqual(['welcome', 'commit']);

  await expectRefusal(client.deleteGroup(request, asMember(phone)), 'GROUP_UNKNOWN');
  const founder = await person('alice');
  const again = await foundingOf(founder, room, 'group');
  await expectRefusal(client.createGroup(again, asNew(founder)), 'ID_REUSED');
  const left = (await dump(house.database)).split('\n').filter((row) => row.includes(room.id.uuid));
  expect(left).toHaveLength(1);
  expect(left[0]).toMatch(/^tombstones /);
});

test('what has expired is swept: the log says so, the rest goes on', async () => {
  await using fresh = await openHouse();
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(fresh, alice);
  await commit(fresh, alice, room, { add: [bob] });
  const { limits } = dsDefaults;
  await sweepExpired(fresh.sweeping, limits);
  await fresh.client.getLog({ ...where(room), fromEpoch: 0n }, asMember(alice));

  fresh.clock.advance(91 * DAY_MS);
  await sweepExpired(fresh.sweeping, limits);
  const reading = fresh.client.getLog({ ...where(room), fromEpoch: 0n }, asMember(alice));
  await expectRefusal(reading, 'EPOCH_TOO_OLD');
  const joining = fresh.client.getJoinInfo({ ...where(room), epoch: 1n }, asMember(bob));
  await expectRefusal(joining, 'EPOCH_TOO_OLD');
  expect(await dump(fresh.database, ['accepted', 'log', 'join_infos'])).toBe('\n\n');
  await send(fresh, alice, room, 'still here');
});

test('a group grows to its limit and no further', async () => {
  await using small = await openHouse({ limits: { membersMax: 2 } });
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(small, alice);
  await commit(small, alice, room, { add: [bob] });
  const { request } = await prepare(alice, room, { add: [carol] });
  await expectRefusal(small.client.commit(request, asMember(alice)), 'LIMIT_REACHED');
});

/** The same message but for its last byte: another one, of the same epoch. */
function changed(tls: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(tls);
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}

function fail(): never {
  throw new Error('there is one');
}
