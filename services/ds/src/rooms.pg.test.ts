import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { scopedWire } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { createPublicGroup } from '@roost/mls/public-group';
import { parseParticipantId, withRole } from '@roost/mls/room';
import {
  catchUp,
  commit,
  epochOf,
  found,
  prepareJoin,
  prepareJoinInto,
  roomSeenBy,
  send,
} from './testing/deeds.fixture.ts';
import { expectRefusal } from './testing/expect.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { NOTHING, asMember, asNew, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const keys = { linkWrapperKey: nodeCrypto.random(32), participantKey: nodeCrypto.random(32) };
const publish = async (who: Person, room: Room, name: string) =>
  await house.client.publishRoom({ ...where(room), ...keys, name }, asMember(who));
const find = async (text: string) =>
  (await house.client.findRooms({ text, after: undefined })).rooms;

async function join(who: Person, room: Room): Promise<void> {
  const { made, request } = await prepareJoin(house, who, room, NOTHING);
  const { result } = await house.client.joinGroup(request, asNew(who));
  expect(result?.$case).toBe('accepted');
  who.actor.state = made.state;
}

test('a public room is found by a part of its name, and entered with the keys found there', async () => {
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await found(house, alice, 'public');
  await publish(alice, room, 'The Ávila Birdwatchers');
  const [hit] = await find('áVILA bird');
  expect(hit).toEqual({
    groupId: scopedWire(room.id),
    name: 'The Ávila Birdwatchers',
    earKey: room.earKey,
    ...keys,
  });
  expect(await find('%_nothing like it')).toEqual([]);

  await join(bob, room);
  await join(carol, room);
  await quiet(house);
  await catchUp(house, alice, room);
  await catchUp(house, bob, room);
  expect(epochOf(alice)).toEqual(epochOf(carol));
  expect(epochOf(bob)).toEqual(epochOf(carol));
  await send(house, bob, room, 'hello, all');
});

test('who is banned does not enter a public room, nor does a second client of somebody in it', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice, 'public');
  await join(bob, room);
  await quiet(house);
  await catchUp(house, alice, room);
  const phone = await person("bob's phone", { siblingOf: bob });
  await expectRefusal(prepareJoin(house, phone, room, NOTHING), 'NOT_ALLOWED');

  const banned = withRole(roomSeenBy(alice), parseParticipantId(bob.participantId), 'banned');
  await commit(house, alice, room, { remove: [bob], room: banned });
  const again = await person('bob again', { siblingOf: bob });
  await expectRefusal(prepareJoin(house, again, room, NOTHING), 'NOT_ALLOWED');
  // Asking as somebody else does not help.
  const eve = await person('eve');
  const asked = { ...where(room), joinSecret: NOTHING, participant: eve.participantId };
  const info = await house.client.getExternalJoinInfo(asked, asNew(again));
  const [groupInfo, tree] = [info.groupInfo?.tls ?? NOTHING, info.ratchetTree?.tls ?? NOTHING];
  const group = createPublicGroup(nodeCrypto, groupInfo, tree, Date.now());
  const { request } = await prepareJoinInto(group, again, room, NOTHING);
  await expectRefusal(house.client.joinGroup(request, asNew(again)), 'NOT_ALLOWED');
});

test('a room that is not public is neither published nor entered without its secret', async () => {
  const [alice, eve] = [await person('alice'), await person('eve')];
  for (const kind of ['group', 'dm', 'group_dm'] as const) {
    const room = await found(house, alice, kind);
    await expectRefusal(publish(alice, room, 'Ours'), 'NOT_ALLOWED');
    await expectRefusal(prepareJoin(house, eve, room, NOTHING), 'GROUP_UNKNOWN');
  }
});

test('a room is published by whom its policy lets name it, and is out when they say so', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await found(house, alice, 'public');
  await join(bob, room);
  await expectRefusal(publish(bob, room, 'Taken over'), 'NOT_ALLOWED');
  await publish(alice, room, 'Quiet corner');
  await publish(alice, room, 'Quiet corner, renamed');
  expect((await find('quiet corner')).map(({ name }) => name)).toEqual(['Quiet corner, renamed']);
  await expectRefusal(house.client.unpublishRoom(where(room), asMember(bob)), 'NOT_ALLOWED');
  await house.client.unpublishRoom(where(room), asMember(alice));
  await house.client.unpublishRoom(where(room), asMember(alice));
  expect(await find('quiet corner')).toEqual([]);

  for (const name of ['', '  ', 'x'.repeat(65), 'two\nlines', 'left‮to right']) {
    await expectRefusal(publish(alice, room, name), 'MALFORMED');
  }
  const short = { ...where(room), ...keys, name: 'Short', participantKey: NOTHING };
  await expectRefusal(house.client.publishRoom(short, asMember(alice)), 'MALFORMED');
  await expectRefusal(
    house.client.findRooms({ text: 'x'.repeat(65), after: undefined }),
    'MALFORMED',
  );
});

test('a deleted room is out of the directory', async () => {
  const alice = await person('alice');
  const room = await found(house, alice, 'public');
  await publish(alice, room, 'Short-lived');
  await house.client.deleteGroup(where(room), asMember(alice));
  expect(await find('short-lived')).toEqual([]);
});

test('the directory is read page by page, and holds so many rooms', async () => {
  await using small = await openHouse({ limits: { publicRoomsMax: 52 } });
  const alice = await person('alice');
  for (let at = 0; at < 52; at++) {
    const room = await found(small, await person('founder'), 'public');
    await small.database.query({
      text: `INSERT INTO public_rooms VALUES ($1, $2, lower($2), $3, $3, $3)`,
      values: [room.id.uuid, `Room ${at}`, nodeCrypto.random(32)],
    });
  }
  const first = await small.client.findRooms({ text: 'ROOM', after: undefined });
  expect([first.rooms.length, first.hasMore]).toEqual([50, true]);
  const second = await small.client.findRooms({ text: 'ROOM', after: first.rooms.at(-1)?.groupId });
  expect([second.rooms.length, second.hasMore]).toEqual([2, false]);
  const room = await found(small, alice, 'public');
  const request = { ...where(room), ...keys, name: 'One too many' };
  await expectRefusal(small.client.publishRoom(request, asMember(alice)), 'LIMIT_REACHED');
});
