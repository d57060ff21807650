import { assert } from '@roost/core/assert';
import { nodeCrypto } from '@roost/crypto/node';
import type { Role } from '@roost/mls/roles';
import { parseParticipantId, withRole } from '@roost/mls/room';
import { foundingRoom, templateNamed } from '@roost/mls/templates';
import type { TemplateName } from '@roost/mls/templates';
import { catchUp, commit, prepareJoin, roomSeenBy } from './deeds.fixture.ts';
import { quiet } from './house.fixture.ts';
import type { House } from './house.fixture.ts';
import { NOTHING, asNew, foundingOf, newRoom, person } from './people.fixture.ts';
import type { Person, Room } from './people.fixture.ts';

/** A room with somebody of each role that it has, all of them real members in the same epoch. */
export interface Cast {
  readonly template: TemplateName;
  readonly room: Room;
  /** They have a second client each. */
  readonly actors: ReadonlyMap<Role, Person>;
  readonly siblings: ReadonlyMap<Role, Person>;
  /** They have one client. */
  readonly targets: ReadonlyMap<Role, Person>;
  /** Is banned, where the room has that. */
  readonly outcast: Person;
}

const HELD: readonly Role[] = ['ordinary', 'moderator', 'admin', 'visitor', 'owner'];

export const idOf = ({ participantId }: Person) => parseParticipantId(participantId);

export async function castOf(house: House, template: TemplateName): Promise<Cast> {
  if (template === 'dm') return await castOfDm(house);
  const roles = template === 'group_dm' ? (['ordinary'] as const) : HELD;
  const founder = await person('founder');
  const [room, secret] = await foundAs(house, template, founder);
  assert(secret === undefined, 'only a DM is entered by a secret');
  const cast = {
    actors: new Map<Role, Person>(),
    siblings: new Map<Role, Person>(),
    targets: new Map<Role, Person>(),
  };
  const add: Person[] = [];
  let next = roomSeenBy(founder);
  for (const role of roles) {
    const actor = await person(`actor ${role}`);
    const sibling = await person(`sibling ${role}`, { siblingOf: actor });
    const target = await person(`target ${role}`);
    for (const [map, who] of [
      [cast.actors, actor],
      [cast.siblings, sibling],
      [cast.targets, target],
    ] as const) {
      map.set(role, who);
      add.push(who);
      next = withRole(next, idOf(who), role);
    }
  }
  const outcast = await person('outcast');
  if (next.kind !== 'group_dm') next = withRole(next, idOf(outcast), 'banned');
  const isSame = next.entries.length === 1;
  await commit(house, founder, room, { add, ...(isSame ? {} : { room: next }) });
  await quiet(house);
  for (const who of [...cast.actors.values(), ...cast.targets.values()]) {
    await catchUp(house, who, room);
  }
  if (template === 'group_dm') cast.actors.set('owner', founder);
  return { template, room, ...cast, outcast };
}

/** The founder has two clients, the other one has one. */
async function castOfDm(house: House): Promise<Cast> {
  const [founder, other] = [await person('founder'), await person('other')];
  const [room, secret = NOTHING] = await foundAs(house, 'dm', founder);
  const joining = await prepareJoin(house, other, room, secret);
  await house.client.joinGroup(joining.request, asNew(other));
  other.actor.state = joining.made.state;
  await quiet(house);
  await catchUp(house, founder, room);
  const sibling = await person('sibling', { siblingOf: founder });
  await commit(house, founder, room, { add: [sibling] });
  await quiet(house);
  await catchUp(house, other, room);
  return {
    template: 'dm',
    room,
    actors: new Map<Role, Person>([
      ['owner', founder],
      ['ordinary', other],
    ]),
    siblings: new Map<Role, Person>([['owner', sibling]]),
    targets: new Map<Role, Person>([['ordinary', other]]),
    outcast: await person('outcast'),
  };
}

async function foundAs(
  { client }: House,
  template: TemplateName,
  founder: Person,
): Promise<[Room, Uint8Array | undefined]> {
  const [room, chosen] = [newRoom(), templateNamed(template)];
  const state = foundingRoom(chosen, idOf(founder), NOTHING);
  const secret = template === 'dm' ? nodeCrypto.random(32) : undefined;
  const joinSecretHash = secret === undefined ? NOTHING : nodeCrypto.sha256(secret);
  const request = await foundingOf(founder, room, chosen.kind, { joinSecretHash, state });
  await client.createGroup(request, asNew(founder));
  return [room, secret];
}
