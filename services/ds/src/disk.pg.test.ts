// What a thief of the disk reads of a group that saw all that the hub does by itself.
import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { BadCommitKind } from '@roost/proto/roost/delivery/v1/delivery';
import { makeProposal } from '@roost/mls/testing';
import {
  catchUp,
  commit,
  found,
  leafIndexOf,
  prepareResync,
  roomSeenBy,
  send,
  together,
} from './testing/deeds.fixture.ts';
import { dump } from './testing/expect.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import { asMember, person, where } from './testing/people.fixture.ts';
import type { Person } from './testing/people.fixture.ts';

const NEVER = ['alice', 'bob', 'carol', 'dave', 'owner', 'ordinary', 'Our secret'];

test('no member, role, name, key or exact time is on the disk, with events that still wait', async () => {
  await using house = await openHouse();
  const { client, receiver } = house;
  const { room, people } = await together(house, 'alice', 'bob', 'carol', 'dave');
  const [alice, bob, carol, dave] = people as [Person, Person, Person, Person];
  await commit(house, alice, room, {
    room: { ...roomSeenBy(alice), sealedTitle: utf8('Our secret') },
  });
  await quiet(house);
  receiver.gone.add(toHex(carol.handle));
  await send(house, alice, room, 'hello');
  await quiet(house);
  for (const who of [bob, dave]) await catchUp(house, who, room, 1);

  receiver.isAway = true;
  await send(house, bob, room, 'the hub proposes to remove Carol');
  const removal = await makeProposal(alice.actor, {
    proposalType: 'remove',
    remove: { removed: leafIndexOf(alice, dave) },
  });
  await client.propose({ ...where(room), proposal: { tls: removal } }, asMember(alice));
  const report = { ...where(room), epoch: 2n, kind: BadCommitKind.LINK };
  await client.reportBadCommit(report, asMember(bob));
  await client.resync((await prepareResync(house, bob, room)).request, asMember(bob));
  const hidden = await found(house, await person('alice elsewhere'), 'public');

  const text = await dump(house.database);
  for (const table of [
    'rosters',
    'states',
    'log',
    'accepted',
    'outbox',
    'dead_queues',
    'reports',
  ]) {
    expect(text).toContain(`${table} {`);
  }
  const secrets = [
    ...people.flatMap(({ leafKey, participantId, handle, wrappedLinkKey }) => [
      ...[leafKey, participantId, handle, wrappedLinkKey],
      nodeCrypto.sha256(handle),
    ]),
    ...people.map(({ queueConfig }) => queueConfig.slice(-32)),
    ...[room.earKey, hidden.earKey, removal.subarray(20, 60), utf8('Our secret')],
  ];
  for (const secret of secrets) {
    expect(text).not.toContain(toHex(secret));
    expect(text).not.toContain(Buffer.from(secret).toString('base64'));
  }
  for (const word of NEVER) expect(text).not.toContain(word);
  // A time in ms or s of these years, or one that PostgreSQL writes.
  expect(text).not.toMatch(/[^0-9a-f](1[6-9]|2\d)\d{8}(\d{3})?[^0-9a-f]/);
  expect(text).not.toMatch(/20\d\d-\d\d-\d\d/);
});
