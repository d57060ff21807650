import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { assert } from '@roost/core/assert';
import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Reason } from '@roost/core/failure';
import { nodeCrypto } from '@roost/crypto/node';
import { createPublicGroup } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import type { Role } from '@roost/mls/roles';
import { withRole, withoutParticipants } from '@roost/mls/room';
import type { RoomState } from '@roost/mls/room';
import { TEMPLATES } from '@roost/mls/templates';
import { makeApplication, makeProposal } from '@roost/mls/testing';
import type { MatrixRow, VectorFile } from '@roost/mls/testing-vectors';
import { castOf, idOf } from './testing/cast.fixture.ts';
import type { Cast } from './testing/cast.fixture.ts';
import {
  leafIndexOf,
  prepare,
  prepareJoinInto,
  prepareResync,
  roomProposal,
  roomSeenBy,
} from './testing/deeds.fixture.ts';
import type { Changes } from './testing/deeds.fixture.ts';
import { openHouse } from './testing/house.fixture.ts';
import type { House } from './testing/house.fixture.ts';
import { NOTHING, asMember, asNew, person, where } from './testing/people.fixture.ts';
import type { Person } from './testing/people.fixture.ts';

/**
 * Holds the running DS against `vectors/authorize.json`: real members ask it for each deed, over
 * gRPC and PostgreSQL. Whatever it would accept is rolled back by a fault after the decision, so
 * that each question meets the same room.
 */

const path = new URL('../../../libs/mls/vectors/authorize.json', import.meta.url);
const file = JSON.parse(readFileSync(path, 'utf8')) as VectorFile;

let house: House;
let isUndoing = false;

beforeAll(async () => {
  const faults = (point: string): void => {
    if (isUndoing && point === 'accept.decided') {
      throw new Failure('UNAVAILABLE', 'accepted, and undone');
    }
  };
  house = await openHouse({ faults });
});

afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

/** Asks; says the reason of a refusal, or that there was none. */
async function verdictOf(deed: string, ask: Ask): Promise<Reason | 'ACCEPTED'> {
  // A message changes nothing that the next question meets, and is decided in a batch.
  isUndoing = deed !== 'send';
  try {
    await ask();
    assert(!isUndoing, 'what was accepted is undone');
    return 'ACCEPTED';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.reason === 'UNAVAILABLE' ? 'ACCEPTED' : error.reason;
  } finally {
    isUndoing = false;
  }
}

/** A deed as a commit has it, for the cast of a room; `undefined` where the room cannot say it. */
async function changesOf(cast: Cast, by: Person, deed: string): Promise<Changes | undefined> {
  const room = roomSeenBy(by);
  const [verb = '', first, second] = deed.split(' ') as [string?, Role?, Role?];
  const defined = (role: Role | undefined) => room.roles.some((each) => each.role === role);
  const target = first === undefined ? undefined : targetOf(cast, by, first);
  const gone = (who: Person): RoomState => withoutParticipants(room, [idOf(who)]);
  const isPlain = (next: RoomState): Changes =>
    next.entries.length === room.entries.length ? {} : { room: next };
  switch (verb) {
    case 'add': {
      const who = await person('new');
      const as = first ?? room.defaultRole;
      if (!defined(as)) return undefined;
      return as === room.defaultRole
        ? { add: [who] }
        : { add: [who], room: withRole(room, idOf(who), as) };
    }
    case 'add_client':
      return { add: [await person('another client', { siblingOf: by })] };
    case 'remove':
      if (target === undefined) return undefined;
      return { remove: clientsOf(cast, target), ...isPlain(gone(target)) };
    case 'remove_client': {
      const sibling = siblingOf(cast, by);
      return sibling && { remove: [sibling] };
    }
    case 'split': {
      const [role] = [...cast.siblings.keys()].filter((each) => cast.actors.get(each) !== by);
      const sibling = role && cast.siblings.get(role);
      return sibling && { remove: [sibling] };
    }
    case 'update':
      return {};
    case 'same':
      return { room };
    case 'title':
      return { room: { ...room, sealedTitle: utf8('another') } };
    case 'policy': {
      const roles = room.roles.map((each) =>
        each.role === 'ordinary' ? { ...each, max: 5_000 } : each,
      );
      return { room: { ...room, roles } };
    }
    case 'ban': {
      if (!defined('banned')) return undefined;
      if (deed === 'ban none') return { room: withRole(room, 'f'.repeat(32), 'banned') };
      if (target === undefined) return undefined;
      return { remove: clientsOf(cast, target), room: withRole(room, idOf(target), 'banned') };
    }
    case 'unban':
      return defined('banned') ? { room: withRole(room, idOf(cast.outcast), 'none') } : undefined;
    case 'role':
      if (target === undefined || second === undefined || !defined(second)) return undefined;
      return { room: withRole(room, idOf(target), second) };
    case 'step':
      if (first === undefined || !defined(first)) return undefined;
      return { room: withRole(room, idOf(by), first) };
    default:
      // PSKs and ReInits have tests of their own; no client of ours writes the other proposals.
      return undefined;
  }
}

const siblingOf = ({ siblings }: Cast, who: Person) =>
  [...siblings.values()].find((each) => idOf(each) === idOf(who));

const clientsOf = (cast: Cast, who: Person): Person[] => {
  const sibling = siblingOf(cast, who);
  return sibling === undefined ? [who] : [who, sibling];
};

/** Somebody of a role, but not whoever asks. */
const targetOf = ({ actors, targets }: Cast, by: Person, role: Role): Person | undefined =>
  [targets.get(role), actors.get(role)].find((each) => each !== by);

type Ask = () => Promise<unknown>;

async function inline(cast: Cast, by: Person, deed: string): Promise<Ask | undefined> {
  if (deed === 'send') {
    const { state } = by.actor;
    const tls = await makeApplication(by.actor, utf8('hello'));
    by.actor.state = state;
    const request = { ...where(cast.room), message: { tls } };
    return async () => await house.client.sendMessage(request, asMember(by));
  }
  const changes = await changesOf(cast, by, deed);
  if (changes === undefined) return undefined;
  const { request } = await prepare(by, cast.room, changes);
  return async () => await house.client.commit(request, asMember(by));
}

async function byReference(cast: Cast, by: Person, deed: string): Promise<Ask | undefined> {
  const changes = deed === 'leave' ? { remove: [by] } : await changesOf(cast, by, deed);
  const { add = [], remove = [], room } = changes ?? {};
  const isRoom = room !== undefined && add.length === 0 && !deed.startsWith('remove');
  // A proposal takes out one client: of others, it is the first of all that are meant.
  if (deed === 'split') return undefined;
  if (!isRoom && add.length + remove.length !== 1) return undefined;
  const [added] = add;
  const [removed] = remove;
  const { state } = by.actor;
  const tls = await makeProposal(
    by.actor,
    isRoom
      ? roomProposal(by, room)
      : added === undefined
        ? { proposalType: 'remove', remove: { removed: leafIndexOf(by, removed ?? by) } }
        : { proposalType: 'add', add: { keyPackage: added.actor.keyPackage } },
  );
  by.actor.state = state;
  const request = { ...where(cast.room), proposal: { tls } };
  return async () => await house.client.propose(request, asMember(by));
}

/** The room as whoever is outside could have heard of it from somebody inside. */
async function groupOf({ room, actors }: Cast): Promise<PublicGroup> {
  const [inside] = [...actors.values()];
  assert(inside !== undefined, 'somebody is in the room');
  const info = await house.client.getGroupInfo(where(room), asMember(inside));
  const [groupInfo, tree] = [info.groupInfo?.tls ?? NOTHING, info.ratchetTree?.tls ?? NOTHING];
  return createPublicGroup(nodeCrypto, groupInfo, tree, Date.now());
}

async function asked(cast: Cast, row: MatrixRow, deed: string): Promise<Ask | undefined> {
  if (row.form === 'external') {
    if (deed === 'external_join' && (row.role === 'none' || row.role === 'banned')) {
      const stranger = await person(
        'stranger',
        row.role === 'none' ? {} : { siblingOf: cast.outcast },
      );
      const { request } = await prepareJoinInto(await groupOf(cast), stranger, cast.room, NOTHING);
      return async () => await house.client.joinGroup(request, asNew(stranger));
    }
    const back = cast.actors.get(row.role);
    if (deed !== 'resync' || back === undefined) return undefined;
    const { request } = await prepareResync(house, back, cast.room);
    return async () => await house.client.resync(request, asMember(back));
  }
  const by = deed === 'leave' ? cast.targets.get(row.role) : cast.actors.get(row.role);
  if (by === undefined) return undefined;
  return await (row.form === 'inline' ? inline : byReference)(cast, by, deed);
}

/** Who is no member of it is told no more than that of a group. */
const REFUSALS: ReadonlySet<string> = new Set<Reason>(['NOT_ALLOWED', 'GROUP_UNKNOWN']);

/**
 * The vectors are nine thousand, and a question costs a commit. Of what differs by roles alone a part
 * is asked, another one in each room.
 */
function isAsked({ room, role, form }: MatrixRow, deed: string): boolean {
  const [verb = ''] = deed.split(' ');
  const [few, many] = form === 'by-reference' ? [3, 8] : [1, 5];
  // These two differ from `cooperative` in a few places only.
  const rare = room === 'strict' || room === 'moderated' ? 2 : 1;
  const every = rare * (SEVERAL.has(verb) ? many : few);
  const [byte = 0] = nodeCrypto.sha256(utf8(`${room} ${role} ${deed}`));
  return form === 'external' || deed === 'leave' || byte % every === 0;
}

const SEVERAL: ReadonlySet<string> = new Set(['role', 'step', 'ban', 'add']);

const counts = { inline: 0, 'by-reference': 0, external: 0 };

test.each([...TEMPLATES.keys()])('the DS decides in %s as the vectors say', async (template) => {
  const cast = await castOf(house, template);
  const wrong: string[] = [];
  for (const row of file.matrix.filter(({ room }) => room === template)) {
    for (const deed of [...row.allowed, ...row.refused]) {
      const ask = isAsked(row, deed) ? await asked(cast, row, deed) : undefined;
      if (ask === undefined) continue;
      counts[row.form]++;
      const verdict = await verdictOf(deed, ask);
      const isRight = row.allowed.includes(deed) ? verdict === 'ACCEPTED' : REFUSALS.has(verdict);
      if (!isRight) wrong.push(`${row.role}, ${row.form}: ${deed}: ${verdict}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('these were many questions, in every form', () => {
  expect(counts.inline).toBeGreaterThan(300);
  expect(counts['by-reference']).toBeGreaterThan(100);
  expect(counts.external).toBeGreaterThan(30);
});
