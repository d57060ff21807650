import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { assert } from '@roost/core/assert';
import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { encodeCommitAad } from '@roost/identity/leaf';
import { parseParticipantId, withRole } from '@roost/mls/room';
import type { RoomState } from '@roost/mls/room';
import { foundingRoom, templateNamed } from '@roost/mls/templates';
import { makeCommit, makeProposal } from '@roost/mls/testing';
import { patchedRoles } from '@roost/mls/testing-vectors';
import type { CommitRow, VectorFile } from '@roost/mls/testing-vectors';
import {
  catchUp,
  commit,
  leafIndexOf,
  leaveProposal,
  prepare,
  prepareJoin,
  requestOf,
  roomProposal,
  roomSeenBy,
} from './testing/deeds.fixture.ts';
import { expectRefusal } from './testing/expect.fixture.ts';
import { openHouse, quiet } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { NOTHING, asMember, asNew, foundingOf, newRoom, person } from './testing/people.fixture.ts';
import { where } from './testing/people.fixture.ts';
import type { Person, Room } from './testing/people.fixture.ts';

/** Holds the running DS against the whole commits of `vectors/authorize.json`, made by real members. */

const path = new URL('../../../libs/mls/vectors/authorize.json', import.meta.url);
const file = JSON.parse(readFileSync(path, 'utf8')) as VectorFile;

let house: House;

beforeAll(async () => {
  house = await openHouse();
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const idOf = ({ participantId }: Person) => parseParticipantId(participantId);

/** Real members for the leaves of a row, and people whom it adds or names. */
class Stage {
  readonly room: Room;
  readonly leaves: readonly Person[];
  readonly #others = new Map<string, Person>();

  constructor(room: Room, leaves: readonly Person[]) {
    this.room = room;
    this.leaves = leaves;
  }

  /** Anybody by name: the first leaf of it, or somebody outside. */
  async named(name: string): Promise<Person> {
    const found = this.leaves.find((each) => each.name === name) ?? this.#others.get(name);
    const who = found ?? (await person(name));
    if (found === undefined) this.#others.set(name, who);
    return who;
  }

  /** A new client of somebody. */
  async client(name: string): Promise<Person> {
    return await person(name, { siblingOf: await this.named(name) });
  }
}

async function stageOf(row: CommitRow): Promise<Stage> {
  const [room, template] = [newRoom(), templateNamed(row.room)];
  const [founderName = ''] = row.leaves;
  const founder = await person(founderName);
  const roles = patchedRoles(template.roles, row.patch);
  const state = foundingRoom({ ...template, roles }, idOf(founder), utf8('title'));
  await house.client.createGroup(
    await foundingOf(founder, room, template.kind, { state }),
    asNew(founder),
  );
  const leaves = [founder];
  for (const name of row.leaves.slice(1)) {
    const siblingOf = leaves.find((each) => each.name === name);
    leaves.push(await person(name, siblingOf === undefined ? {} : { siblingOf }));
  }
  const stage = new Stage(room, leaves);
  const add = leaves.slice(1);
  if (add.length > 0) {
    const next = await withRoles(stage, state, row.roles);
    await commit(house, founder, room, {
      add,
      ...(next.entries.length === 1 ? {} : { room: next }),
    });
    await quiet(house);
    for (const who of add) await catchUp(house, who, room);
  }
  return stage;
}

async function withRoles(
  stage: Stage,
  room: RoomState,
  roles: Readonly<Record<string, string | null>>,
): Promise<RoomState> {
  let next = room;
  for (const [name, role] of Object.entries(roles)) {
    const who = await stage.named(name);
    next = withRole(next, idOf(who), (role ?? 'none') as RoomState['defaultRole']);
  }
  return next;
}

async function roomAfter(
  stage: Stage,
  by: Person,
  after: CommitRow['after'],
): Promise<RoomState | undefined> {
  if (after === undefined) return undefined;
  const room = roomSeenBy(by);
  const { roles = {}, title, policy, patch, kind, defaultRole } = after;
  const list = policy === undefined ? room.roles : templateNamed(policy).roles;
  const next = await withRoles(stage, room, roles);
  return {
    ...next,
    roles: patchedRoles(list, patch),
    ...(title === true ? { sealedTitle: utf8('another') } : {}),
    ...(kind === undefined ? {} : { kind }),
    ...(defaultRole === undefined ? {} : { defaultRole }),
  };
}

/** What others propose first, and what is left for the commit itself. */
async function propose(stage: Stage, row: CommitRow): Promise<boolean> {
  const { client } = house;
  let hasProposed = false;
  for (const [leafIndex, name, form] of row.removed ?? []) {
    if (form !== 'by-reference') continue;
    const removed = stage.leaves[leafIndex];
    assert(removed !== undefined, 'a row removes its own leaves');
    // One leaves by one's own client, as long as that is heard.
    const by = removed.name === name ? removed : await stage.named(name);
    const proposal = {
      proposalType: 'remove' as const,
      remove: { removed: leafIndexOf(by, removed) },
    };
    const { state } = by.actor;
    const tls = await makeProposal(by.actor, proposal);
    await client.propose({ ...where(stage.room), proposal: { tls } }, asMember(by));
    by.actor.state = state;
    hasProposed = true;
  }
  const [by, form] = row.by ?? [row.committer, 'inline'];
  if (form === 'by-reference') {
    const author = await stage.named(by);
    const next = await roomAfter(stage, author, row.after);
    assert(next !== undefined, 'a room state is proposed');
    const { state } = author.actor;
    const tls = await makeProposal(author.actor, roomProposal(author, next));
    await client.propose({ ...where(stage.room), proposal: { tls } }, asMember(author));
    author.actor.state = state;
    hasProposed = true;
  }
  return hasProposed;
}

async function commitRow(stage: Stage, row: CommitRow): Promise<void> {
  const by = await stage.named(row.committer);
  const taken = house.receiver.queueOf(by.handle).length;
  if (await propose(stage, row)) {
    await quiet(house);
    await catchUp(house, by, stage.room, taken);
  }
  const add: Person[] = [];
  for (const name of row.added ?? []) add.push(await stage.client(name));
  const remove = (row.removed ?? []).flatMap(([leafIndex, , form]) => {
    const leaf = stage.leaves[leafIndex];
    return form === 'inline' && leaf !== undefined ? [leaf] : [];
  });
  const isInline = row.by?.[1] !== 'by-reference';
  const room = isInline ? await roomAfter(stage, by, row.after) : undefined;
  await commit(house, by, stage.room, { add, remove, ...(room === undefined ? {} : { room }) });
}

/** The hub's part, PSKs and ReInits, and the departed have tests of their own. */
function isMade(row: CommitRow): boolean {
  const isHub = [...(row.removed ?? []), [0, ...(row.by ?? [''])]].some(([, who]) => who === 'hub');
  const hasDeparted = Object.values(row.roles).includes('departed');
  const isStranger = !row.leaves.includes(row.committer);
  return (
    !isHub &&
    !hasDeparted &&
    !isStranger &&
    row.external !== true &&
    row.others === undefined &&
    row.room !== 'dm'
  );
}

const rows = file.commits.filter(isMade);

test.each(rows.map((row) => [row.name, row] as const))('%s', async (_, row) => {
  const stage = await stageOf(row);
  const done = commitRow(stage, row);
  if (row.allowed) await expect(done).resolves.toBeUndefined();
  else await expectRefusal(done, 'NOT_ALLOWED');
});

test('most of the commits were made', () => {
  expect(rows.length).toBeGreaterThan(50);
});

test('a PSK is mixed in where the policy says who may, and by these', async () => {
  const { client } = house;
  const [alice, bob] = [await person('alice'), await person('bob')];
  const mix = async (by: Person, room: Room) => {
    const preSharedKeyId = {
      psktype: 'external' as const,
      pskId: utf8('a key that they share'),
      pskNonce: new Uint8Array(32),
    };
    const proposal = { proposalType: 'psk' as const, psk: { preSharedKeyId } };
    const aad = encodeCommitAad({ added: [] });
    const made = await makeCommit(by.actor, [proposal], aad, new Uint8Array(32).fill(7));
    return await client.commit(requestOf(room, made, []), asMember(by));
  };
  for (const name of ['cooperative', 'strict'] as const) {
    const room = newRoom();
    const state = foundingRoom(templateNamed(name), idOf(alice), NOTHING);
    await client.createGroup(await foundingOf(alice, room, 'group', { state }), asNew(alice));
    const taken = house.receiver.queueOf(bob.handle).length;
    await commit(house, alice, room, { add: [bob] });
    await quiet(house);
    await catchUp(house, bob, room, taken);
    await expectRefusal(mix(bob, room), 'NOT_ALLOWED');
    if (name === 'cooperative') await expectRefusal(mix(alice, room), 'NOT_ALLOWED');
    else expect((await mix(alice, room)).result?.$case).toBe('accepted');
  }
});

test('who left a group DM is noted, and comes back by no way', async () => {
  const { client } = house;
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
  const room = newRoom();
  await client.createGroup(await foundingOf(alice, room, 'group_dm'), asNew(alice));
  await commit(house, alice, room, { add: [bob, carol] });
  await quiet(house);
  for (const who of [bob, carol]) await catchUp(house, who, room);

  const tls = await leaveProposal(carol);
  await client.propose({ ...where(room), proposal: { tls } }, asMember(carol));
  await quiet(house);
  await catchUp(house, alice, room);
  await catchUp(house, bob, room, 1);
  const untold = await prepare(alice, room);
  await expectRefusal(client.commit(untold.request, asMember(alice)), 'NOT_ALLOWED');
  const departed = withRole(roomSeenBy(alice), idOf(carol), 'departed');
  await commit(house, alice, room, { room: departed });
  await quiet(house);
  await catchUp(house, bob, room, 2);

  await expectRefusal(client.getGroupInfo(where(room), asMember(carol)), 'GROUP_UNKNOWN');
  const again = await person('carol again', { siblingOf: carol });
  const readd = await prepare(alice, room, { add: [again] });
  await expectRefusal(client.commit(readd.request, asMember(alice)), 'NOT_ALLOWED');
  const cleared = await prepare(alice, room, { room: withRole(departed, idOf(carol), 'none') });
  await expectRefusal(client.commit(cleared.request, asMember(alice)), 'NOT_ALLOWED');
  const both = await prepare(alice, room, {
    add: [again],
    room: withRole(departed, idOf(carol), 'none'),
  });
  await expectRefusal(client.commit(both.request, asMember(alice)), 'NOT_ALLOWED');
  await expectRefusal(prepareJoin(house, again, room, NOTHING), 'GROUP_UNKNOWN');
  const stranger = await person('dora');
  const more = await prepare(bob, room, { add: [stranger] });
  await expectRefusal(client.commit(more.request, asMember(bob)), 'NOT_ALLOWED');
  const asDm = await prepare(bob, room, { room: { ...departed, kind: 'dm' } });
  await expect(client.commit(asDm.request, asMember(bob))).rejects.toThrow(Failure);
  await commit(house, bob, room, { room: { ...departed, sealedTitle: utf8('the two of us') } });
});
