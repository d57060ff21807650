// Invariant 1 and standards appendix B: of N concurrent commits at an epoch one is accepted, every other
// hears the epoch and the winner, and all converge. Two replicas with pools of their own race too.
import { expect, test } from '@jest/globals';
import { decodeGroupEvent } from '@roost/bus/group-event';
import type { GroupEvent } from '@roost/bus/group-event';
import { toHex, utf8 } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { parseHandshake } from '@roost/mls/message';
import { createPublicGroup, merge } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { followCommit } from '@roost/mls/stage';
import { makeApplication, receive } from '@roost/mls/testing';
import { Database } from '@roost/postgres/database';
import type {
  CommitRequest,
  CommitResponse,
  CreateGroupRequest,
} from '@roost/proto/roost/delivery/v1/delivery';
import { freshDatabase } from '@roost/testing/postgres';
import { migrations } from './service.ts';
import { catchUp, commit, epochOf, prepare } from './testing/deeds.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { asMember, asNew, foundingOf, newRoom, person, where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

const RACERS = 64;
const ROUNDS = 3;
/** So many go on until each of them is in; the others look on, as each commit costs every member. */
const STUBBORN = 8;

/** A group whose members are spread over two replicas, and what its winners sent. */
interface Arena extends AsyncDisposable {
  readonly houses: readonly [House, House];
  readonly room: Room;
  readonly founding: CreateGroupRequest;
  readonly people: readonly Person[];
  /** By the epoch that they led to. */
  readonly winning: Map<bigint, CommitRequest>;
}

async function openArena(size: number): Promise<Arena> {
  const stack = new AsyncDisposableStack();
  const database = stack.use(await freshDatabase(migrations));
  const another = stack.use(new Database(database.config, 10));
  const one = stack.use(await openHouse({ database }));
  const two = stack.use(await openHouse({ database: another, receiver: one.receiver }));
  const people: Person[] = [];
  while (people.length < size) people.push(await person(`member ${people.length}`));
  const [founder = none(), ...others] = people;
  const room = newRoom();
  const founding = await foundingOf(founder, room, 'group');
  await one.client.createGroup(founding, asNew(founder));
  const { made, request } = await prepare(founder, room, { add: others });
  await two.client.commit(request, asMember(founder));
  founder.actor.state = made.state;
  await quiet(one);
  for (const who of others) await catchUp(one, who, room);
  const dispose = async (): Promise<void> => await stack.disposeAsync();
  const winning = new Map([[1n, request]]);
  return { houses: [one, two], room, founding, people, winning, [Symbol.asyncDispose]: dispose };
}

/** Half of the members know one replica, half the other. */
function houseOf({ houses, people }: Arena, who: Person): House {
  return houses[people.indexOf(who) % 2 === 0 ? 0 : 1];
}

/** Takes in what a loser was told, and asks for nothing, so that it stands where the winner does. */
async function rebase(who: Person, { result }: CommitResponse): Promise<void> {
  if (result?.$case !== 'conflict') throw new Error('this one did not lose');
  for (const { event } of result.value.events) {
    const heard = decodeGroupEvent(event);
    if (heard.kind === 'commit') await receive(who.actor, heard.mlsMessage);
  }
  expect(epochOf(who).epoch).toBe(result.value.currentEpoch);
}

/** All of them commit at once, each adding its own newcomer where there are any; gives who won. */
async function race(arena: Arena, newcomers: readonly Person[] = []): Promise<Person> {
  const { people, room, winning } = arena;
  const before = epochOf(people[0] ?? none()).epoch;
  const prepared: Awaited<ReturnType<typeof prepare>>[] = [];
  for (const [at, who] of people.entries()) {
    prepared.push(await prepare(who, room, { add: newcomers.slice(at, at + 1) }));
  }
  const answers = await Promise.all(
    people.map(async (who, at) => {
      const { request } = prepared[at] ?? none();
      return await houseOf(arena, who).client.commit(request, asMember(who));
    }),
  );
  const [won, ...more] = answers.flatMap(({ result }, at) =>
    result?.$case === 'accepted' ? [{ at, epoch: result.value.epoch }] : [],
  );
  expect([won?.epoch, more]).toEqual([before + 1n, []]);
  const at = won?.at ?? none();
  const { made, request } = prepared[at] ?? none();
  winning.set(before + 1n, request);
  for (const [place, who] of people.entries()) {
    const answer = answers[place] ?? none();
    if (place === at) {
      who.actor.state = made.state;
    } else {
      const { currentEpoch, events } = conflictOf(answer);
      expect([currentEpoch, events.map(({ epoch }) => epoch)]).toEqual([before + 1n, [before]]);
      expect(commitsOf(events).map(toHex)).toEqual([toHex(made.tls)]);
      await rebase(who, answer);
    }
  }
  return people[at] ?? none();
}

function conflictOf({ result }: CommitResponse) {
  if (result?.$case !== 'conflict') throw new Error('this one did not lose');
  return result.value;
}

function commitsOf(events: readonly { readonly event: Uint8Array }[]): Uint8Array[] {
  return commitsIn(events.map(({ event }) => decodeGroupEvent(event)));
}

function commitsIn(heard: readonly GroupEvent[]): Uint8Array[] {
  return heard.flatMap((event) => (event.kind === 'commit' ? [event.mlsMessage] : []));
}

/** Commits anew on what it is told until it is in; gives the epoch that it made. */
async function insist(arena: Arena, who: Person): Promise<bigint> {
  for (;;) {
    const { made, request } = await prepare(who, arena.room);
    const answer = await houseOf(arena, who).client.commit(request, asMember(who));
    if (answer.result?.$case === 'accepted') {
      who.actor.state = made.state;
      arena.winning.set(answer.result.value.epoch, request);
      return answer.result.value.epoch;
    }
    await rebase(who, answer);
  }
}

/** What the log holds from an epoch on, as a member reads it. */
async function logFrom(arena: Arena, who: Person, fromEpoch: bigint) {
  const { client } = houseOf(arena, who);
  return await client.getLog({ ...where(arena.room), fromEpoch }, asMember(who));
}

async function readOn(arena: Arena, who: Person): Promise<void> {
  const { events } = await logFrom(arena, who, epochOf(who).epoch);
  for (const tls of commitsOf(events)) await receive(who.actor, tls);
}

/** A tracker that knows only how the group was founded is led through it by the log alone. */
async function replay(arena: Arena): Promise<PublicGroup> {
  const { founding, people, winning } = arena;
  const tree = founding.ratchetTree?.tls ?? none();
  const [info, now] = [founding.groupInfo?.tls ?? none(), Date.now()];
  let group = createPublicGroup(nodeCrypto, info, tree, now);
  const { events, hasMore } = await logFrom(arena, people[0] ?? none(), 0n);
  expect([hasMore, events.length]).toEqual([false, winning.size]);
  for (const tls of commitsOf(events)) {
    const message = parseHandshake(tls);
    if (message.kind !== 'commit') throw new Error('the log has commits only');
    group = merge(followCommit(group, message, now).staged);
  }
  return group;
}

/** Everybody has each commit but the own ones, once and in order. */
function expectWholeQueues({ houses, people, winning }: Arena): void {
  const later = [...winning].filter(([epoch]) => epoch > 1n);
  const sent = later.toSorted(([a], [b]) => Number(a - b)).map(([, request]) => request);
  const made = sent.map(({ commit: message }) => message?.tls ?? none());
  for (const [at, who] of people.entries()) {
    const heard = commitsIn(houses[0].receiver.queueOf(who.handle));
    const others = made.filter((tls) => senderOf(tls) !== at);
    expect(heard.map(toHex)).toEqual(others.map(toHex));
  }
}

function senderOf(tls: Uint8Array): number | undefined {
  const message = parseHandshake(tls);
  return message.sender.senderType === 'member' ? message.sender.leafIndex : undefined;
}

test('of 64 commits at once through two replicas one wins, all others rebase on it and get in', async () => {
  await using arena = await openArena(RACERS);
  const { houses, people, room, winning } = arena;
  const [house] = houses;
  for (let round = 0; round < ROUNDS; round++) {
    const winner = await race(arena);
    for (const who of people) expect(epochOf(who)).toEqual(epochOf(winner));
  }

  const stubborn = people.slice(0, STUBBORN);
  const reached = await Promise.all(stubborn.map(async (who) => await insist(arena, who)));
  const first = BigInt(1 + ROUNDS);
  expect(reached.toSorted((a, b) => Number(a - b))).toEqual(
    stubborn.map((_, at) => first + BigInt(at) + 1n),
  );
  for (const who of people) await readOn(arena, who);
  const { context } = await replay(arena);
  for (const who of people) {
    expect(epochOf(who)).toEqual({ epoch: context.epoch, treeHash: context.treeHash });
  }
  expect(context.epoch).toBe(BigInt(winning.size));
  await quiet(house);
  expectWholeQueues(arena);
  expect(await commit(house, people[1] ?? none(), room)).toBe(context.epoch + 1n);
});

test('where all add somebody at once, only the winner of the epoch welcomes its own', async () => {
  await using arena = await openArena(16);
  const { houses, people, room } = arena;
  const [house] = houses;
  const newcomers = await Promise.all(people.map(async (_, at) => await person(`new ${at}`)));
  const winner = await race(arena, newcomers);
  await quiet(house);
  const { receiver, database } = house;
  const welcomed = newcomers.filter(({ handle }) => receiver.queueOf(handle).length > 0);
  expect(welcomed).toEqual([newcomers[people.indexOf(winner)]]);
  const [joiner = none()] = welcomed;
  expect(receiver.queueOf(joiner.handle).map(({ kind }) => kind)).toEqual(['welcome']);
  // The Welcome left behind its commit, also where it goes to another queue.
  const order = receiver.arrivals.filter(({ event }) => event.epoch >= 1n);
  const commits = order.flatMap(({ event }, at) => (event.kind === 'commit' ? [at] : []));
  expect(order.findLastIndex(({ event }) => event.kind === 'welcome')).toBe(order.length - 1);
  expect(commits).toHaveLength(people.length - 1);
  await catchUp(house, joiner, room);
  expect(epochOf(joiner)).toEqual(epochOf(winner));

  const orphans = await database.query({
    text: `SELECT FROM join_infos
            WHERE NOT EXISTS (SELECT FROM log WHERE log.group_id = join_infos.group_id
                                 AND log.epoch = join_infos.epoch - 1 AND is_commit)`,
  });
  expect(orphans).toEqual([]);
  const infos = await database.query({ text: 'SELECT FROM join_infos' });
  expect(infos.length).toBeGreaterThan(0);
});

test('messages of one group at once through two replicas all arrive, once and in one order', async () => {
  await using arena = await openArena(3);
  const { houses, people, room } = arena;
  const [listener = none(), ...speakers] = people;
  const sent: string[] = [];
  // One to each replica at a time: what fails in company is tried again alone.
  for (let round = 0; round < 30; round++) {
    await Promise.all(
      houses.map(async ({ client }, at) => {
        const who = speakers[at] ?? none();
        const tls = await makeApplication(who.actor, utf8(`message ${round}`));
        sent.push(toHex(tls));
        await client.sendMessage({ ...where(room), message: { tls } }, asMember(who));
      }),
    );
  }
  await quiet(houses[0]);
  const heard = houses[0].receiver
    .queueOf(listener.handle)
    .flatMap((event) => (event.kind === 'application' ? [toHex(event.mlsMessage)] : []));
  expect(heard.toSorted()).toEqual(sent.toSorted());
  expect(houses[0].receiver.gaps).toEqual([]);
});

function none(): never {
  throw new Error('there is one');
}
