import { fromHex, toHex } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';
import { checkPolicy } from './policy-check.ts';
import { definitionOf, readPolicy, readRole, writePolicy } from './policy.ts';
import type { RoleDefinition } from './policy.ts';
import { KINDS, ROLES, nameOf } from './roles.ts';
import type { Capability, Role, RoomKind } from './roles.ts';

export type { Role, RoomKind } from './roles.ts';

/**
 * The room around a group (design §6, seed 003): its kind, its encrypted title, its policy and the
 * roles that differ from the default. It lies in a GroupContext extension, so that every member
 * agrees on it and the DS reads it without a secret.
 */
export interface RoomState {
  readonly kind: RoomKind;
  /** The role of whoever is present and has no entry of its own. */
  readonly defaultRole: Role;
  /** Encrypted by clients; empty where the room has no title. */
  readonly sealedTitle: Uint8Array;
  /** The policy: what each role may do. */
  readonly roles: readonly RoleDefinition[];
  /**
   * Sorted by participant: those present whose role is not the default, and of those who are not
   * present only the banned and the departed.
   */
  readonly entries: readonly ParticipantEntry[];
}

export interface ParticipantEntry {
  readonly participant: ParticipantId;
  readonly role: Role;
}

/** 16 bytes as 32 lower-case hex digits: equal for all clients of one user in one group. */
export type ParticipantId = string;

const VERSION = 2;
const PARTICIPANT_BYTES = 16;
export const SEALED_TITLE_BYTES_MAX = 512;
export const PARTICIPANT_ENTRIES_MAX = 10_000;

export function encodeRoomState(room: RoomState): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION).u8(KINDS[room.kind]).u8(ROLES[room.defaultRole]).opaque(room.sealedTitle);
    writePolicy(writer, room.roles);
    writer.vector(sorted(room.entries), writeEntry);
  });
}

/** Refuses a policy that the kind may not have, and entries that are not in their one form. */
export function decodeRoomState(tls: Uint8Array): RoomState {
  return decodeAll(tls, 'room state', (reader) => {
    reader.version(VERSION);
    const number = reader.u8();
    const kind = nameOf(KINDS, number);
    if (kind === undefined) throw reader.refuse(`room kind ${number} is unknown`);
    const defaultRole = readRole(reader);
    const sealedTitle = reader.opaque(SEALED_TITLE_BYTES_MAX);
    const roles = readPolicy(reader);
    checkPolicy(kind, defaultRole, roles);
    const entries = reader.vector(PARTICIPANT_ENTRIES_MAX, readEntry);
    for (const [at, { participant, role }] of entries.entries()) {
      const before = entries[at - 1];
      if (before !== undefined && before.participant >= participant) {
        throw reader.refuse('entries are not sorted by participant');
      }
      if (role === defaultRole) throw reader.refuse('an entry has the default role');
      if (role === 'none' || role === 'policy_enforcer' || !definitionOf(roles, role)) {
        throw reader.refuse(`an entry has the role ${role}, which nobody here holds`);
      }
    }
    return { kind, defaultRole, sealedTitle, roles, entries };
  });
}

export function parseParticipantId(bytes: Uint8Array, field = 'participant'): ParticipantId {
  if (bytes.length !== PARTICIPANT_BYTES) {
    throw malformed(field, `is not ${PARTICIPANT_BYTES} bytes long`);
  }
  return toHex(bytes);
}

export function participantBytes(participant: ParticipantId): Uint8Array<ArrayBuffer> {
  const bytes = fromHex(participant);
  if (bytes === undefined || bytes.length !== PARTICIPANT_BYTES) {
    throw malformed('participant', 'is not 32 hex digits');
  }
  return bytes;
}

/** The role of an entry, if there is one. */
export function entryOf(room: RoomState, participant: ParticipantId): Role | undefined {
  return room.entries.find((entry) => entry.participant === participant)?.role;
}

/** The role of somebody who is in the room. */
export function roleOf(room: RoomState, participant: ParticipantId): Role {
  return entryOf(room, participant) ?? room.defaultRole;
}

/** The room with another role for one participant; `none` has no entry. */
export function withRole(room: RoomState, participant: ParticipantId, role: Role): RoomState {
  const others = room.entries.filter((entry) => entry.participant !== participant);
  const isPlain = role === room.defaultRole || role === 'none';
  return { ...room, entries: isPlain ? others : sorted([...others, { participant, role }]) };
}

/**
 * The room once these participants are out of it: a group DM remembers them as departed, elsewhere
 * nothing is left of them but a ban.
 */
export function withoutParticipants(room: RoomState, gone: readonly ParticipantId[]): RoomState {
  let next = room;
  for (const participant of gone) {
    if (entryOf(room, participant) === 'banned') continue;
    next = withRole(next, participant, room.kind === 'group_dm' ? 'departed' : 'none');
  }
  return next;
}

/** Whether a role holds a capability in this room. */
export function roleCan(room: RoomState, role: Role, capability: Capability): boolean {
  return definitionOf(room.roles, role)?.capabilities.includes(capability) ?? false;
}

function sorted(entries: readonly ParticipantEntry[]): readonly ParticipantEntry[] {
  return entries.toSorted((a, b) => (a.participant < b.participant ? -1 : 1));
}

function writeEntry(writer: Writer, entry: ParticipantEntry): void {
  writer.fixed(participantBytes(entry.participant)).u8(ROLES[entry.role]);
}

function readEntry(reader: Reader): ParticipantEntry {
  const participant = toHex(reader.fixed(PARTICIPANT_BYTES));
  return { participant, role: readRole(reader) };
}
