// Invariants 2 and 11, standards appendix B: a DS is killed before every single statement of what it does,
// before and after COMMIT, and between the steps of its dispatcher. Each time a process of its own dies
// by SIGKILL and another takes over; the database shows nothing of the request or all of it, and whoever
// asks again gets one answer.
import { expect, test } from '@jest/globals';
import { toHex, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { createPublicGroup } from '@roost/mls/public-group';
import { makeApplication, receive } from '@roost/mls/testing';
import type { FaultPoint } from './desk.ts';
import {
  catchUp,
  epochOf,
  leaveProposal,
  prepare,
  prepareJoinInto,
  prepareResync,
} from './testing/deeds.fixture.ts';
import { dump } from './testing/expect.fixture.ts';
import type { DeliveryClient } from './testing/house.fixture.ts';
import { MortalHouse } from './testing/mortal-house.fixture.ts';
import {
  NOTHING,
  asMember,
  asNew,
  foundingOf,
  newRoom,
  person,
  where,
} from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

const DISPATCH: readonly FaultPoint[] = ['dispatch.read', 'dispatch.answered', 'dispatch.deleted'];

type Ask<Answer> = (client: DeliveryClient) => Promise<Answer>;

/** A digest of each table but the outbox, which comes and goes by itself, what a start notes, and what a crash forgets. */
async function kept({ database }: MortalHouse): Promise<Record<string, string>> {
  const tables = await database.query<{ name: string }>({
    text: `SELECT relname AS name FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
              AND relpersistence = 'p' AND relname NOT IN ('outbox', 'incarnations')`,
  });
  const digests = tables.map(async ({ name }) => {
    const rows = await dump(database, [name]);
    return [name, rows === '' ? 'empty' : toHex(nodeCrypto.sha256(utf8(rows)))] as const;
  });
  return Object.fromEntries(await Promise.all(digests));
}

async function waiting({ database }: MortalHouse): Promise<number> {
  return (await database.query({ text: 'SELECT FROM outbox' })).length;
}

/**
 * Kills the DS at each step of a request, or before every second statement of it, and at each of its
 * delivery; then hears the answer.
 */
async function killAtEachStep<Answer>(
  house: MortalHouse,
  ask: Ask<Answer>,
  { isReplacement = false, stride = 2 } = {},
): Promise<Answer> {
  const dies = async (point: FaultPoint, after = 0): Promise<number> => {
    const client = await house.start([point], after);
    await expect(ask(client)).rejects.toThrow();
    const death = await house.died();
    expect(death.point).toBe(point);
    return death.statements;
  };
  const before = await kept(house);
  const arrived = house.receiver.arrivals.length;
  const statements = await dies('accept.decided');
  expect(statements).toBeGreaterThan(3);
  for (let at = 0; at < statements; at += stride) {
    await dies('accept.statement', at);
    expect(await kept(house)).toEqual(before);
  }
  await dies('accept.durable');
  const after = await kept(house);
  expect(after).not.toEqual(before);
  const events = await waiting(house);
  for (const point of events === 0 ? [] : DISPATCH) {
    await house.start([point]);
    expect(await house.died()).toMatchObject({ point });
    expect(house.receiver.arrivals.length > arrived).toBe(point !== 'dispatch.read');
    expect((await waiting(house)) === 0).toBe(point === 'dispatch.deleted');
  }
  const heard = house.receiver.arrivals.length;
  const client = await house.start();
  const answer = await ask(client);
  expect(await ask(client)).toEqual(answer);
  // What replaces is done again; its outcome is the same.
  if (!isReplacement) expect(await kept(house)).toEqual(after);
  expect(await waiting(house)).toBe(0);
  await house.stop();
  expect(house.receiver.arrivals.length).toBe(heard);
  return answer;
}

/** What lies in somebody's queue. */
function heardBy(house: MortalHouse, who: Person): string[] {
  return house.receiver
    .queueOf(who.handle)
    .map((event) => (event.kind === 'application' ? toHex(event.mlsMessage) : event.kind));
}

/** A group that a DS without troubles was told of. */
async function foundCalmly(
  house: MortalHouse,
  founder: Person,
  add: readonly Person[],
): Promise<Room> {
  const room = newRoom();
  const client = await house.start();
  await client.createGroup(await foundingOf(founder, room, 'group'), asNew(founder));
  if (add.length > 0) await commitCalmly(client, founder, room, add);
  while ((await waiting(house)) > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  for (const who of add) await catchUp({ client, receiver: house.receiver }, who, room);
  await house.stop();
  return room;
}

async function commitCalmly(
  client: DeliveryClient,
  by: Person,
  room: Room,
  add: readonly Person[],
): Promise<void> {
  const { made, request } = await prepare(by, room, { add });
  await client.commit(request, asMember(by));
  by.actor.state = made.state;
}

test('killed at each step of founding a group and of deleting it, the DS has done it once or not', async () => {
  await using house = await MortalHouse.open();
  const alice = await person('alice');
  const room = newRoom();
  const request = await foundingOf(alice, room, 'group');
  await killAtEachStep(house, async (client) => await client.createGroup(request, asNew(alice)));
  await killAtEachStep(
    house,
    async (client) => await client.deleteGroup(where(room), asMember(alice)),
  );
  expect(await kept(house)).toMatchObject({ groups: 'empty', rosters: 'empty', states: 'empty' });
  expect(house.deaths).toBeGreaterThan(8);
});

test('killed at each step of a commit that adds, all get it once, its Welcome behind it', async () => {
  await using house = await MortalHouse.open();
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await foundCalmly(house, alice, [bob]);
  const { made, request } = await prepare(alice, room, { add: [carol] });
  const { result } = await killAtEachStep(
    house,
    async (client) => await client.commit(request, asMember(alice)),
    { stride: 1 },
  );
  expect(result).toMatchObject({ $case: 'accepted', value: { epoch: 2n } });
  alice.actor.state = made.state;

  expect(heardBy(house, bob)).toEqual(['welcome', 'commit']);
  expect(heardBy(house, carol)).toEqual(['welcome']);
  const [commitAt, welcomeAt] = [bob, carol].map(({ handle }) =>
    house.receiver.arrivals.findLastIndex((arrival) => arrival.handle === toHex(handle)),
  );
  expect(welcomeAt).toBeGreaterThan(commitAt ?? Infinity);
  const client = await house.start();
  await catchUp({ client, receiver: house.receiver }, carol, room);
  await catchUp({ client, receiver: house.receiver }, bob, room, 1);
  expect([epochOf(bob), epochOf(carol)]).toEqual([epochOf(alice), epochOf(alice)]);
  expect(house.deaths).toBeGreaterThan(15);
});

test('killed at each step of leaving and of the commit that carries it, all get both once', async () => {
  await using house = await MortalHouse.open();
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = await foundCalmly(house, alice, [bob, carol]);
  const tls = await leaveProposal(carol);
  const request = { ...where(room), proposal: { tls } };
  await killAtEachStep(house, async (client) => await client.propose(request, asMember(carol)));
  await receive(alice.actor, tls);
  const last = await prepare(alice, room);
  await killAtEachStep(house, async (client) => await client.commit(last.request, asMember(alice)));
  alice.actor.state = last.made.state;
  expect(heardBy(house, bob)).toEqual(['welcome', 'proposal', 'commit']);
  expect(heardBy(house, carol)).toEqual(['welcome', 'commit']);
  const client = await house.start();
  await catchUp({ client, receiver: house.receiver }, bob, room, 1);
  expect(epochOf(bob)).toEqual(epochOf(alice));
});

test('killed at each step of a send, and of a change of queue, all messages arrive once and in order', async () => {
  await using house = await MortalHouse.open();
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await foundCalmly(house, alice, [bob]);
  const said: string[] = [];
  const say = async (text: string): Promise<void> => {
    const tls = await makeApplication(alice.actor, utf8(text));
    const request = { ...where(room), message: { tls } };
    await killAtEachStep(
      house,
      async (client) => await client.sendMessage(request, asMember(alice)),
      { stride: 1 },
    );
    said.push(toHex(tls));
  };
  await say('before');
  const moved = await person('bob elsewhere');
  const request = { ...where(room), queueConfig: moved.queueConfig };
  await killAtEachStep(
    house,
    async (client) => await client.updateQueueConfig(request, asMember(bob)),
    { isReplacement: true },
  );
  await say('after');
  expect(heardBy(house, bob)).toEqual(['welcome', said[0]]);
  expect(heardBy(house, moved)).toEqual([said[1]]);
});

test('killed at each step of coming back by external commit, a member is back once', async () => {
  await using house = await MortalHouse.open();
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = await foundCalmly(house, alice, [bob]);
  const client = await house.start();
  const { made, request } = await prepareResync({ client }, bob, room);
  await house.stop();
  await killAtEachStep(house, async (each) => await each.resync(request, asMember(bob)));
  bob.actor.state = made.state;
  expect(heardBy(house, alice)).toEqual(['commit']);
  await receive(alice.actor, made.tls);
  expect(epochOf(alice)).toEqual(epochOf(bob));
});

test('killed at each step of a join by external commit, the joiner is in once', async () => {
  await using house = await MortalHouse.open();
  const [alice, bob] = [await person('alice'), await person('bob')];
  const room = newRoom();
  const secret = nodeCrypto.random(32);
  const joinSecretHash = nodeCrypto.sha256(secret);
  const founding = await foundingOf(alice, room, 'dm', { joinSecretHash });
  const client = await house.start();
  await client.createGroup(founding, asNew(alice));
  await house.stop();
  const [info, tree] = [founding.groupInfo?.tls ?? NOTHING, founding.ratchetTree?.tls ?? NOTHING];
  const group = createPublicGroup(nodeCrypto, info, tree, Date.now());
  const { made, request } = await prepareJoinInto(group, bob, room, secret);
  await killAtEachStep(house, async (each) => await each.joinGroup(request, asNew(bob)));
  bob.actor.state = made.state;
  expect(heardBy(house, alice)).toEqual(['commit']);
  await receive(alice.actor, made.tls);
  expect(epochOf(alice)).toEqual(epochOf(bob));
});
