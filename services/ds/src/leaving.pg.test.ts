import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { parseParticipantId, withRole } from '@roost/mls/room';
import { makeApplication, makeCommit, makeProposal, receive } from '@roost/mls/testing';
import { encodeCommitAad } from '@roost/identity/leaf';
import { dsDefaults } from './config.ts';
import { sweepExpired } from './sweeper.ts';
import { expectRefusal } from './testing/expect.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import {
  catchUp,
  commit,
  epochOf,
  found,
  leafIndexOf,
  leaveProposal,
  prepare,
  prepareJoin,
  requestOf,
  roomSeenBy,
  send,
  together as togetherIn,
} from './testing/deeds.fixture.ts';
import { NOTHING, asMember, asNew, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const kinds = (who: Person) => house.receiver.queueOf(who.handle).map(({ kind }) => kind);

const together = async (...names: readonly string[]) => await togetherIn(house, ...names);

const propose = async (who: Person, room: Room, tls: Uint8Array) =>
  await house.client.propose({ ...where(room), proposal: { tls } }, asMember(who));

test('who leaves is heard no more, and goes with the next commit whoever makes it', async () => {
  const { client } = house;
  const { room, people } = await together('alice', 'bob', 'carol');
  const [alice, bob, carol] = people as [Person, Person, Person];
  const said = await makeApplication(bob.actor, utf8('last words'));
  const tls = await leaveProposal(bob);
  const answer = await propose(bob, room, tls);
  expect(answer.result).toMatchObject({ $case: 'accepted', value: { epoch: 1n } });
  // Its reply was lost: the same again.
  expect(await propose(bob, room, tls)).toEqual(answer);
  const sending = client.sendMessage({ ...where(room), message: { tls: said } }, asMember(bob));
  await expectRefusal(sending, 'NOT_ALLOWED');

  // Alice has not heard of it yet: her commit does not carry it.
  const ignorant = await prepare(alice, room);
  await expectRefusal(client.commit(ignorant.request, asMember(alice)), 'INVALID_PROPOSAL');
  const own = await makeCommit(bob.actor, [], encodeCommitAad({ added: [] })).catch(
    () => undefined,
  );
  if (own !== undefined) {
    await expectRefusal(client.commit(requestOf(room, own, []), asMember(bob)), 'NOT_ALLOWED');
  }
  await quiet(house);
  await catchUp(house, alice, room, 0);
  await catchUp(house, carol, room, 1);
  await commit(house, carol, room);
  await quiet(house);
  await catchUp(house, alice, room, 1);
  expect(epochOf(alice)).toEqual(epochOf(carol));
  expect(kinds(bob)).toEqual(['welcome', 'commit']);
  const back = client.sendMessage({ ...where(room), message: { tls: said } }, asMember(bob));
  await expectRefusal(back, 'GROUP_UNKNOWN');
});

test('several leave at once, and a proposal survives a restart of the DS', async () => {
  const { room, people } = await together('alice', 'bob', 'carol', 'dave');
  const [alice, bob, carol, dave] = people as [Person, Person, Person, Person];
  await propose(bob, room, await leaveProposal(bob));
  await propose(carol, room, await leaveProposal(carol));
  await quiet(house);
  await catchUp(house, alice, room);
  await using restarted = await openHouse({ database: house.database, receiver: house.receiver });
  await commit(restarted, alice, room);
  await quiet(house);
  await catchUp(house, dave, room, 1);
  expect(epochOf(dave)).toEqual(epochOf(alice));
  expect(kinds(dave)).toEqual(['welcome', 'proposal', 'proposal', 'commit']);
});

test('a proposal waits for its commit, however long that takes', async () => {
  await using fresh = await openHouse();
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(fresh, alice);
  await commit(fresh, alice, room, { add: [bob] });
  await quiet(fresh);
  await catchUp(fresh, bob, room);
  const proposal = { tls: await leaveProposal(bob) };
  await fresh.client.propose({ ...where(room), proposal }, asMember(bob));
  await quiet(fresh);
  await catchUp(fresh, alice, room);
  const later = { now: () => fresh.clock.now() + 500 * DAY_MS };
  await sweepExpired({ ...fresh.sweeping, clock: later }, dsDefaults.limits);
  await commit(fresh, alice, room);
});

test('removals are proposed by those who may make them, each once, and Adds never', async () => {
  const { client } = house;
  const { room, people } = await together('alice', 'bob', 'carol');
  const [alice, bob, carol] = people as [Person, Person, Person];
  const others = await makeProposal(alice.actor, {
    proposalType: 'remove',
    remove: { removed: leafIndexOf(alice, carol) },
  });
  const bobsRemoval = await makeProposal(bob.actor, {
    proposalType: 'remove',
    remove: { removed: leafIndexOf(bob, carol) },
  });
  await expectRefusal(propose(bob, room, bobsRemoval), 'NOT_ALLOWED');
  expect((await propose(alice, room, others)).result?.$case).toBe('accepted');
  // A commit removes a leaf once.
  await expectRefusal(propose(carol, room, await leaveProposal(carol)), 'INVALID_PROPOSAL');
  const adding = await makeProposal(alice.actor, {
    proposalType: 'add',
    add: { keyPackage: (await person('dave')).actor.keyPackage },
  });
  await expectRefusal(propose(alice, room, adding), 'NOT_ALLOWED');
  const bobs = await leaveProposal(bob);
  const byCarol = client.propose({ ...where(room), proposal: { tls: bobs } }, asMember(carol));
  await expectRefusal(byCarol, 'NOT_ALLOWED');
});

test('the last owner stays until there is another', async () => {
  const { room, people } = await together('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  await expectRefusal(propose(alice, room, await leaveProposal(alice)), 'NOT_ALLOWED');
  alice.actor.state = { ...(alice.actor.state ?? fail()), unappliedProposals: {} };
  const crowned = withRole(roomSeenBy(alice), parseParticipantId(bob.participantId), 'owner');
  await commit(house, alice, room, { room: crowned });
  await propose(alice, room, await leaveProposal(alice));
  await quiet(house);
  await catchUp(house, bob, room, 1);
  // Bob is the last owner by now, although Alice is still in the tree.
  await expectRefusal(propose(bob, room, await leaveProposal(bob)), 'NOT_ALLOWED');
});

test('a proposal that lost the race for its epoch is told what it missed', async () => {
  const { room, people } = await together('alice', 'bob');
  const [alice, bob] = people as [Person, Person];
  const tls = await leaveProposal(bob);
  await commit(house, alice, room);
  const { result } = await propose(bob, room, tls);
  expect(result).toMatchObject({ $case: 'conflict', value: { currentEpoch: 2n } });
  expect(result?.$case === 'conflict' && result.value.events).toHaveLength(1);
});

test('a connection group is joined once, by the secret alone', async () => {
  const { client } = house;
  const [alice, bob, eve] = [await person('alice'), await person('bob'), await person('eve')];
  const secret = nodeCrypto.random(32);
  const room = await found(house, alice, 'dm', secret);
  const wrong = { ...where(room), joinSecret: nodeCrypto.random(32), participant: NOTHING };
  await expectRefusal(client.getExternalJoinInfo(wrong, asNew(eve)), 'GROUP_UNKNOWN');

  const bobs = await prepareJoin(house, bob, room, secret);
  const eves = await prepareJoin(house, eve, room, secret);
  await expectRefusal(
    client.joinGroup({ ...eves.request, joinSecret: wrong.joinSecret }, asNew(eve)),
    'GROUP_UNKNOWN',
  );
  await expectRefusal(client.joinGroup(bobs.request, asNew(eve)), 'NOT_ALLOWED');
  const first = await client.joinGroup(bobs.request, asNew(bob));
  expect(first.result).toMatchObject({ $case: 'accepted', value: { epoch: 1n } });
  bob.actor.state = bobs.made.state;
  expect(await client.joinGroup(bobs.request, asNew(bob))).toEqual(first);

  // The secret is used up, for whoever has it.
  await expectRefusal(client.joinGroup(eves.request, asNew(eve)), 'GROUP_UNKNOWN');
  const right = { ...where(room), joinSecret: secret, participant: NOTHING };
  await expectRefusal(client.getExternalJoinInfo(right, asNew(eve)), 'GROUP_UNKNOWN');
  await quiet(house);
  await catchUp(house, alice, room);
  expect(epochOf(alice)).toEqual(epochOf(bob));
  await send(house, bob, room, 'here I am');
  await quiet(house);
  expect(kinds(alice)).toEqual(['commit', 'application']);
});

test('of two that join at once with the same secret one gets in', async () => {
  const [alice, bob, eve] = [await person('alice'), await person('bob'), await person('eve')];
  const secret = nodeCrypto.random(32);
  const room = await found(house, alice, 'dm', secret);
  const bobs = await prepareJoin(house, bob, room, secret);
  const eves = await prepareJoin(house, eve, room, secret);
  const joins = await Promise.allSettled([
    house.client.joinGroup(bobs.request, asNew(bob)),
    house.client.joinGroup(eves.request, asNew(eve)),
  ]);
  expect(joins.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

test('a joiner that lost to a commit of the creator asks again', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const secret = nodeCrypto.random(32);
  const room = await found(house, alice, 'dm', secret);
  const late = await prepareJoin(house, bob, room, secret);
  await commit(house, alice, room);
  const { result } = await house.client.joinGroup(late.request, asNew(bob));
  expect(result).toEqual({ $case: 'conflict', value: { currentEpoch: 1n, events: [] } });
  const again = await prepareJoin(house, bob, room, secret);
  const { result: joined } = await house.client.joinGroup(again.request, asNew(bob));
  expect(joined?.$case).toBe('accepted');
});

test('nobody is added to a conversation between two, leaves it or is removed from it', async () => {
  const { client } = house;
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const phone = await person("alice's phone", { siblingOf: alice });
  const secret = nodeCrypto.random(32);
  const room = await found(house, alice, 'dm', secret);
  const { made, request } = await prepareJoin(house, bob, room, secret);
  await client.joinGroup(request, asNew(bob));
  bob.actor.state = made.state;
  await receive(alice.actor, made.tls);

  for (const changes of [{ add: [carol] }, { remove: [bob] }]) {
    const { request: bad } = await prepare(alice, room, changes);
    await expectRefusal(client.commit(bad, asMember(alice)), 'NOT_ALLOWED');
  }
  const titled = await prepare(alice, room, {
    room: { ...roomSeenBy(alice), sealedTitle: utf8('a title') },
  });
  await expectRefusal(client.commit(titled.request, asMember(alice)), 'NOT_ALLOWED');
  await expectRefusal(propose(bob, room, await leaveProposal(bob)), 'NOT_ALLOWED');

  // A further client of one of the two comes, and goes again.
  await commit(house, alice, room, { add: [phone] });
  await quiet(house);
  await catchUp(house, phone, room);
  await propose(phone, room, await leaveProposal(phone));
  await quiet(house);
  await catchUp(house, alice, room, 1);
  await commit(house, alice, room);
});

test('one does not enter a group by external commit', async () => {
  const { client } = house;
  const { room } = await together('alice', 'bob');
  const eve = await person('eve');
  const secret = nodeCrypto.random(32);
  const dm = await found(house, await person('dora'), 'dm', secret);
  const asked = { ...where(dm), joinSecret: secret, participant: NOTHING };
  const info = await client.getExternalJoinInfo(asked, asNew(eve));
  expect(info.links).toHaveLength(1);
  const elsewhere = { ...where(room), joinSecret: secret, participant: NOTHING };
  await expectRefusal(client.getExternalJoinInfo(elsewhere, asNew(eve)), 'GROUP_UNKNOWN');
});

function fail(): never {
  throw new Error('there is one');
}
