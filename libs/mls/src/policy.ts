import { assert } from '@roost/core/assert';
import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';
import { checkPolicy } from './policy-check.ts';
import { CAPABILITIES, ROLES, nameOf } from './roles.ts';
import type { Capability, Role, RoomKind } from './roles.ts';

/** What a role is in one room (the RoleData of the MIMI drafts). */
export interface RoleDefinition {
  readonly role: Role;
  /** For people; `banned` and the other roles that the protocol knows are named as they are. */
  readonly name: string;
  /** Sorted by their numbers. */
  readonly capabilities: readonly Capability[];
  /** So many are present, before one of them goes or gets another role. */
  readonly min: number;
  /** So many hold the role at most, present or not. */
  readonly max?: number | undefined;
  /** So many are present at most. */
  readonly maxActive?: number | undefined;
  /** Sorted by the index of `from`: which roles whoever holds this one changes into which. */
  readonly changes: readonly RoleChange[];
}

export interface RoleChange {
  readonly from: Role;
  /** Sorted by their indexes. */
  readonly to: readonly Role[];
}

/** The definition of a role, where the room has it. */
export function definitionOf(
  roles: readonly RoleDefinition[],
  role: Role,
): RoleDefinition | undefined {
  return roles.find((each) => each.role === role);
}

/** The roles list by itself: what a template's hash is over, and what tells two policies apart. */
export function encodePolicy(roles: readonly RoleDefinition[]): Uint8Array<ArrayBuffer> {
  return encode((writer) => writePolicy(writer, roles));
}

/** Refuses a policy that a room of this kind may not have. */
export function decodePolicy(
  tls: Uint8Array,
  kind: RoomKind,
  defaultRole: Role,
): readonly RoleDefinition[] {
  const roles = decodeAll(tls, 'room policy', readPolicy);
  checkPolicy(kind, defaultRole, roles);
  return roles;
}

export function writePolicy(writer: Writer, roles: readonly RoleDefinition[]): void {
  writer.vector(roles, (each, definition) => {
    each.u8(ROLES[definition.role]).text(definition.name);
    each.vector(definition.capabilities, (inner, capability) =>
      inner.u16(CAPABILITIES[capability]),
    );
    each.u32(definition.min);
    each.optional(definition.max, (inner, max) => inner.u32(max));
    each.optional(definition.maxActive, (inner, max) => inner.u32(max));
    each.vector(definition.changes, (inner, { from, to }) =>
      inner.u8(ROLES[from]).vector(to, (innermost, role) => innermost.u8(ROLES[role])),
    );
  });
}

/** Reads a roles list; `checkPolicy` judges it. */
export function readPolicy(reader: Reader): readonly RoleDefinition[] {
  return reader.vector(ROLES_MAX, (each) => {
    const role = readRole(each);
    const name = each.text(ROLE_NAME_BYTES_MAX);
    const capabilities = each.vector(CAPABILITIES_MAX, readCapability);
    const min = each.u32();
    const max = each.optional((inner) => inner.u32());
    const maxActive = each.optional((inner) => inner.u32());
    const changes = each.vector(ROLES_MAX, (inner) => ({
      from: readRole(inner),
      to: inner.vector(ROLES_MAX, readRole),
    }));
    return { role, name, capabilities, min, max, maxActive, changes };
  });
}

export function readRole(reader: Reader): Role {
  const index = reader.u8();
  const role = nameOf(ROLES, index);
  if (role === undefined) throw reader.refuse(`role ${index} is unknown`);
  return role;
}

const ROLE_NAME_BYTES_MAX = 64;
const ROLES_MAX = Object.keys(ROLES).length;
const CAPABILITIES_MAX = Object.keys(CAPABILITIES).length;

function readCapability(reader: Reader): Capability {
  const number = reader.u16();
  const capability = nameOf(CAPABILITIES, number);
  if (capability === undefined) throw reader.refuse(`capability ${number} is unknown`);
  return capability;
}

/** A definition out of lists in any order. */
export function defineRole(role: Role, { changes = {}, ...rest }: RoleParts): RoleDefinition {
  const { name = role, capabilities = [], min = 0, max, maxActive } = rest;
  const froms = Object.keys(ROLES).filter((from): from is Role => from in changes);
  const definition = {
    role,
    name,
    capabilities: [...new Set(capabilities)].toSorted((a, b) => CAPABILITIES[a] - CAPABILITIES[b]),
    min,
    max,
    maxActive,
    changes: froms.map((from) => {
      const to = (changes[from] ?? []).toSorted((a, b) => ROLES[a] - ROLES[b]);
      assert(to.length > 0, 'a change leads somewhere');
      return { from, to };
    }),
  };
  return definition;
}

interface RoleParts {
  readonly name?: string;
  readonly capabilities?: readonly Capability[];
  readonly min?: number;
  readonly max?: number;
  readonly maxActive?: number;
  readonly changes?: Readonly<Partial<Record<Role, readonly Role[]>>>;
}
