import { utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { RoleDefinition } from './policy.ts';
import { CAPABILITIES, ROLES, isFixed } from './roles.ts';
import type { Capability, Role, RoomKind } from './roles.ts';

/** Refuses a roles list that is not in its one form, or that a room of this kind may not have. */
export function checkPolicy(
  kind: RoomKind,
  defaultRole: Role,
  roles: readonly RoleDefinition[],
): void {
  checkOrder(roles, ({ role }) => ROLES[role], 'roles');
  checkPresence(kind, defaultRole, roles);
  const names = new Set<string>();
  for (const definition of roles) {
    checkName(definition, names);
    checkOrder(definition.capabilities, (each) => CAPABILITIES[each], 'capabilities');
    checkLimits(definition);
    checkChanges(kind, definition, roles);
    checkReserved(kind, defaultRole, definition);
    if (definition.role !== 'policy_enforcer') checkKind(kind, definition);
  }
}

/** Roles that the protocol itself gives a meaning; their names are their own. */
const NAMED: ReadonlySet<string> = new Set<Role>(['none', 'banned', 'policy_enforcer', 'departed']);

/** Roles that people in a room hold. */
export const HELD: ReadonlySet<Role> = new Set<Role>([
  'ordinary',
  'moderator',
  'admin',
  'visitor',
  'owner',
]);

/** What the hub may be trusted with: it takes out who is dead, and proposes policies. */
const OF_ENFORCER: ReadonlySet<Capability> = new Set<Capability>([
  'canRemoveParticipant',
  'canKick',
  'canChangeRoleDefinitions',
]);

/** What would unsettle the participants of a room that settled them when it was founded. */
const NOT_IN_GROUP_DM: ReadonlySet<Capability> = new Set<Capability>([
  'canAddParticipant',
  'canRemoveParticipant',
  'canJoinIfPreauthorized',
  'canUseJoinCode',
  'canBan',
  'canUnBan',
  'canKick',
  'canChangeUserRole',
  'canChangeOwnRole',
  'canChangeRoomMembershipStyle',
  'canChangeRoleDefinitions',
  'canChangePreauthorizedUserList',
  'canSendMLSReinitProposal',
]);

const NOT_IN_DM: ReadonlySet<Capability> = new Set<Capability>([
  ...NOT_IN_GROUP_DM,
  'canRemoveSelf',
  'canChangeRoomName',
]);

function checkPresence(kind: RoomKind, defaultRole: Role, roles: readonly RoleDefinition[]): void {
  const defined = new Set(roles.map(({ role }) => role));
  if (defaultRole !== 'ordinary' && defaultRole !== 'visitor') {
    throw refuse(`nobody is ${defaultRole} by default`);
  }
  const needed: readonly Role[] = ['none', 'policy_enforcer', 'owner', defaultRole];
  const missing = needed.find((role) => !defined.has(role));
  if (missing !== undefined) throw refuse(`the role ${missing} is missing`);
  if (defined.has('departed') !== (kind === 'group_dm')) {
    throw refuse('departed belongs to conversations of a settled group, and to these alone');
  }
  const owner = roles.find(({ role }) => role === 'owner');
  if (!isFixed(kind) && owner?.min === 0) throw refuse('there may be no owner left');
  if (owner?.max === 0) throw refuse('there is no place for the founder');
}

function checkName({ role, name }: RoleDefinition, names: Set<string>): void {
  const size = utf8(name).length;
  if (size === 0 || size > NAME_BYTES_MAX) throw refuse('a name is not 1 to 64 bytes long');
  if (NAMED.has(role) ? name !== role : NAMED.has(name)) {
    throw refuse(`a role is named ${name} that is another`);
  }
  if (names.has(name)) throw refuse('a name stands there twice');
  names.add(name);
}

const NAME_BYTES_MAX = 64;

function checkLimits({ role, min, max, maxActive }: RoleDefinition): void {
  if (max !== undefined && (min > max || (maxActive !== undefined && maxActive > max))) {
    throw refuse('a limit is above the one that it lies in');
  }
  if (maxActive !== undefined && min > maxActive) throw refuse('a minimum is above the maximum');
  if (!HELD.has(role) && min > 0) throw refuse(`nobody present is ever ${role}`);
  const isNeverPresent = role === 'banned' || role === 'policy_enforcer' || role === 'departed';
  if (isNeverPresent !== (maxActive === 0)) throw refuse(`${role}: its active participants`);
}

function checkChanges(
  kind: RoomKind,
  { role, changes }: RoleDefinition,
  roles: readonly RoleDefinition[],
): void {
  checkOrder(changes, ({ from }) => ROLES[from], 'changes');
  const defined = new Set(roles.map((each) => each.role));
  for (const { from, to } of changes) {
    checkOrder(to, (each) => ROLES[each], 'the roles of a change');
    if (to.length === 0 || to.includes(from)) throw refuse('a change leads nowhere');
    const unknown = [from, ...to].find((each) => !defined.has(each));
    if (unknown !== undefined) throw refuse(`a change names ${unknown}, which is not defined`);
    if (from === 'policy_enforcer' || to.includes('policy_enforcer')) {
      throw refuse('nobody becomes the hub, or is it no more');
    }
    if (from === 'departed') throw refuse('whoever departed stays away');
    if (from === 'banned' && (to.length > 1 || to[0] !== 'none')) {
      throw refuse('from banned there is only one way: to be let in again');
    }
    const isSettled = from === 'none' || to.some((each) => each !== 'departed');
    if (isFixed(kind) && (isSettled || role !== 'policy_enforcer')) {
      throw refuse('roles do not change where the participants are settled');
    }
  }
}

/** What the roles of those who are not in the room may do, and the hub. */
function checkReserved(
  kind: RoomKind,
  defaultRole: Role,
  { role, capabilities, changes }: RoleDefinition,
): void {
  const opens = capabilities.includes('canOpenJoin');
  if (opens && (role !== 'none' || kind !== 'public')) {
    throw refuse('only strangers join openly, and only into public rooms');
  }
  if (role === 'none') {
    const [change, ...others] = changes;
    const enters = change?.from === 'none' && change.to.join() === defaultRole;
    if (capabilities.length > (opens ? 1 : 0) || others.length > 0) {
      throw refuse('strangers enter, and do no more');
    }
    if (opens ? !enters : change !== undefined) {
      throw refuse('strangers enter by the default role, where they may enter at all');
    }
  }
  if (role === 'banned' || role === 'departed') {
    if (capabilities.length + changes.length > 0) throw refuse(`${role} may do nothing`);
  }
  if (role === 'policy_enforcer') {
    if (capabilities.some((each) => !OF_ENFORCER.has(each))) throw refuse('the hub may do less');
    const gone = kind === 'group_dm' ? 'departed' : 'none';
    if (changes.some(({ from, to }) => !HELD.has(from) || to.join() !== gone)) {
      throw refuse('the hub takes out, and gives no roles');
    }
  }
}

function checkKind(kind: RoomKind, { role, capabilities }: RoleDefinition): void {
  if (!isFixed(kind)) return;
  const forbidden = kind === 'dm' ? NOT_IN_DM : NOT_IN_GROUP_DM;
  const found = capabilities.find((each) => forbidden.has(each));
  if (found !== undefined) throw refuse(`nobody in such a room has ${found}, and ${role} does`);
}

/** Sorted by number, each once: so that a policy has one form and one hash. */
function checkOrder<T>(list: readonly T[], numberOf: (each: T) => number, what: string): void {
  const numbers = list.map(numberOf);
  if (numbers.every((number, at) => at === 0 || (numbers[at - 1] ?? number) < number)) return;
  throw refuse(`${what} are not sorted, or twice there`);
}

function refuse(message: string): Failure {
  return new Failure('MALFORMED', `room policy: ${message}`);
}
