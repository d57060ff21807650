import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { GroupId, parseDomain, printId, uuidOf } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { encodeCommitAad } from '@roost/identity/leaf';
import { ciphersuiteOf, SUITE_1 } from '@roost/mls/provider';
import { makeApplication, makeCommit, stateOf } from '@roost/mls/testing';
import type { Domain } from '@roost/core/ids';
import { BadCommitKind } from '@roost/proto/roost/delivery/v1/delivery';
import {
  catchUp,
  commit,
  leaveProposal,
  prepare,
  prepareResync,
  requestOf,
} from './testing/deeds.fixture.ts';
import { expectRefusal } from './testing/expect.fixture.ts';
import { home, openHouse, quiet } from './testing/house.fixture.ts';
import {
  asMember,
  asNew,
  foundingOf,
  newRoom,
  person,
  roomStateOf,
  where,
} from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

/** A commit that gives the group up for one of this homeserver. */
async function reinit(by: Person, room: Room, domain: Domain = home) {
  const next = GroupId.of(uuidOf(nodeCrypto.random(16)), domain);
  const made = await makeCommit(
    by.actor,
    [
      {
        proposalType: 'reinit',
        reinit: {
          groupId: utf8(printId(next)),
          version: 'mls10',
          cipherSuite: SUITE_1,
          extensions: [],
        },
      },
    ],
    encodeCommitAad({ added: [] }),
  );
  return requestOf(room, made, []);
}

test('a group that was given up for another is only read', async () => {
  await using house = await openHouse();
  const { client } = house;
  const [alice, bob, room] = [await person('alice'), await person('bob'), newRoom()];
  const state = roomStateOf(alice, 'public');
  const roles = state.roles.map((each) =>
    each.role === 'owner'
      ? { ...each, capabilities: [...each.capabilities, 'canSendMLSReinitProposal' as const] }
      : each,
  );
  const founding = await foundingOf(alice, room, 'public', { state: { ...state, roles } });
  await client.createGroup(founding, asNew(alice));
  const at = where(room);
  const keys = { linkWrapperKey: room.earKey, participantKey: room.earKey };
  await client.publishRoom({ ...at, ...keys, name: 'Ending' }, asMember(alice));
  await commit(house, alice, room, { add: [bob] });
  await quiet(house);
  await catchUp(house, bob, room);
  const before = {
    message: { tls: await makeApplication(alice.actor, utf8('too late')) },
    commit: (await prepare(bob, room)).request,
    resync: (await prepareResync(house, bob, room)).request,
    proposal: { tls: await leaveProposal(bob) },
  };
  const elsewhere = await reinit(alice, room, parseDomain('other.example'));
  await expectRefusal(client.commit(elsewhere, asMember(alice)), 'NOT_ALLOWED');
  const byBob = bob.actor.state;
  bob.actor.state = { ...stateOf(bob.actor), unappliedProposals: {} };
  await expectRefusal(client.commit(await reinit(bob, room), asMember(bob)), 'NOT_ALLOWED');
  bob.actor.state = byBob;

  const { result } = await client.commit(await reinit(alice, room), asMember(alice));
  expect(result?.$case).toBe('accepted');
  const changes = [
    client.sendMessage({ ...at, message: before.message }, asMember(alice)),
    client.commit(before.commit, asMember(bob)),
    client.resync(before.resync, asMember(bob)),
    client.propose({ ...at, proposal: before.proposal }, asMember(bob)),
    client.updateQueueConfig({ ...at, queueConfig: bob.queueConfig }, asMember(bob)),
    client.reportBadCommit({ ...at, epoch: 1n, kind: BadCommitKind.LINK }, asMember(bob)),
    client.unpublishRoom(at, asMember(alice)),
  ];
  for (const change of changes) await expectRefusal(change, 'GROUP_FROZEN');
  const { events } = await client.getLog({ ...at, fromEpoch: 1n }, asMember(bob));
  expect(events).toHaveLength(1);
  await client.getGroupInfo(at, asMember(bob));
  const { rooms } = await client.findRooms({ text: 'ending', after: undefined });
  expect(rooms).toEqual([]);
});

test('a group has a suite that its hub allows', async () => {
  const suite = ciphersuiteOf(nodeCrypto, 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519');
  const [alice, bob, room] = [
    await person('alice', { suite }),
    await person('bob', { suite }),
    newRoom(),
  ];
  const request = await foundingOf(alice, room, 'group');
  await using strict = await openHouse({ suites: [1] });
  await expectRefusal(strict.client.createGroup(request, asNew(alice)), 'INVALID_MLS');
  await using house = await openHouse();
  await house.client.createGroup(request, asNew(alice));
  await commit(house, alice, room, { add: [bob] });
  await commit(house, alice, room);
});
