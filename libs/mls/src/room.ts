import { compare, fromHex, toHex } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';

/**
 * The room around a group (design §6, seed 003): its kind, its encrypted title and the roles that
 * differ from the default. It lies in a GroupContext extension, so that every member agrees on it
 * and the DS reads it without a secret.
 */
export interface RoomState {
  readonly kind: RoomKind;
  /** The role of whoever has no entry of its own. */
  readonly defaultRole: Role;
  /** Encrypted by clients; empty where the room has no title. */
  readonly sealedTitle: Uint8Array;
  /** Sorted by participant; only those whose role is not the default. */
  readonly entries: readonly ParticipantEntry[];
}

export interface ParticipantEntry {
  readonly participant: ParticipantId;
  readonly role: Role;
}

/** 16 bytes as 32 lower-case hex digits: equal for all clients of one user in one group. */
export type ParticipantId = string;

export type RoomKind = keyof typeof KINDS;
export type Role = keyof typeof ROLES;

/** The numbers on the wire. 3 (group_dm) and 4 (public) are reserved and refused. */
const KINDS = { dm: 1, group: 2 } as const;

/** Indexes of standards §1.3; those that this release does not know are refused. */
const ROLES = { ordinary: 2, owner: 7 } as const;

const VERSION = 1;
const PARTICIPANT_BYTES = 16;
export const SEALED_TITLE_BYTES_MAX = 512;
export const PARTICIPANT_ENTRIES_MAX = 10_000;

export function encodeRoomState(room: RoomState): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION).u8(KINDS[room.kind]).u8(ROLES[room.defaultRole]).opaque(room.sealedTitle);
    writer.vector(sorted(room.entries), writeEntry);
  });
}

/** Refuses unknown kinds and roles, entries out of order or twice, and ones that say the default. */
export function decodeRoomState(tls: Uint8Array): RoomState {
  return decodeAll(tls, 'room state', (reader) => {
    reader.version(VERSION);
    const kind = nameOf(KINDS, reader, 'room kind');
    const defaultRole = nameOf(ROLES, reader, 'role');
    const sealedTitle = reader.opaque(SEALED_TITLE_BYTES_MAX);
    const entries = reader.vector(PARTICIPANT_ENTRIES_MAX, readEntry);
    for (const [at, { participant, role }] of entries.entries()) {
      const before = entries[at - 1];
      if (before !== undefined && before.participant >= participant) {
        throw reader.refuse('entries are not sorted by participant');
      }
      if (role === defaultRole) throw reader.refuse('an entry has the default role');
    }
    return { kind, defaultRole, sealedTitle, entries };
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

export function roleOf(room: RoomState, participant: ParticipantId): Role {
  return room.entries.find((entry) => entry.participant === participant)?.role ?? room.defaultRole;
}

/** The room with another role for one participant. */
export function withRole(room: RoomState, participant: ParticipantId, role: Role): RoomState {
  const others = room.entries.filter((entry) => entry.participant !== participant);
  const entries = role === room.defaultRole ? others : sorted([...others, { participant, role }]);
  return { ...room, entries };
}

/** One thing that a commit or proposal does to a room, and to whom. */
export type Change =
  /** Brings in participants that were not there. */
  | { readonly kind: 'add'; readonly participants: readonly ParticipantId[] }
  /** Brings in a further client of a participant that is there. */
  | { readonly kind: 'add_client'; readonly participant: ParticipantId }
  /** Takes out participants, other ones than the actor, with all their clients. */
  | { readonly kind: 'remove'; readonly participants: readonly ParticipantId[] }
  /** Takes out some, not all, clients of a participant. */
  | { readonly kind: 'remove_client'; readonly participant: ParticipantId }
  /** The actor goes, with all its clients. */
  | { readonly kind: 'leave' }
  /** Replaces the room state. */
  | { readonly kind: 'room'; readonly next: RoomState }
  /** Renews keys. */
  | { readonly kind: 'update' }
  /** Enters by external commit; the actor is whoever enters. */
  | { readonly kind: 'external_join' }
  /** Comes back by external commit in place of its own old leaf. */
  | { readonly kind: 'resync' };

/**
 * Decides whether a change may be made; throws `NOT_ALLOWED` with a sentence for people where not.
 * One function for DS and client, so that a client can say why before it asks. `participants` are
 * those in the room before the change, each once.
 */
export function authorize(
  room: RoomState,
  participants: readonly ParticipantId[],
  actor: ParticipantId,
  change: Change,
): void {
  if (change.kind !== 'external_join' && !participants.includes(actor)) {
    throw notAllowed('only participants of a room may change it');
  }
  if (change.kind === 'update' || change.kind === 'resync') return;
  if (change.kind === 'add_client' || change.kind === 'remove_client') {
    if (change.participant === actor) return;
    throw notAllowed("only a user's own clients add and remove that user's clients one by one");
  }
  const rules = { dm: authorizeInDm, group: authorizeInGroup } as const;
  rules[room.kind](room, participants, actor, change);
}

type RoomChange = Exclude<
  Change,
  { readonly kind: 'update' | 'resync' | 'add_client' | 'remove_client' }
>;

function authorizeInDm(
  room: RoomState,
  participants: readonly ParticipantId[],
  actor: ParticipantId,
  change: RoomChange,
): void {
  switch (change.kind) {
    case 'add':
      throw notAllowed('nobody is added to a conversation between two; make a group instead');
    case 'remove':
      throw notAllowed(
        'nobody is removed from a conversation between two; block the other instead',
      );
    case 'leave':
      throw notAllowed('nobody leaves a conversation between two; block the other instead');
    case 'room':
      if (compare(encodeRoomState(room), encodeRoomState(change.next)) === 0) return;
      throw notAllowed('a conversation between two has no title and no roles');
    case 'external_join':
      if (participants.length === 1 && participants[0] !== actor) return;
      throw notAllowed('this conversation between two is full');
  }
}

function authorizeInGroup(
  room: RoomState,
  participants: readonly ParticipantId[],
  actor: ParticipantId,
  change: RoomChange,
): void {
  switch (change.kind) {
    case 'add':
      return;
    case 'remove':
      if (roleOf(room, actor) === 'owner') return;
      throw notAllowed('only an owner of the group removes others');
    case 'leave': {
      const others = participants.filter((participant) => participant !== actor);
      const ownerStays = others.some((participant) => roleOf(room, participant) === 'owner');
      if (roleOf(room, actor) !== 'owner' || others.length === 0 || ownerStays) return;
      throw notAllowed('the last owner makes another one the owner before leaving the group');
    }
    case 'room':
      authorizeRoomState(room, participants, actor, change.next);
      return;
    case 'external_join':
      throw notAllowed('one enters this group by being added to it');
  }
}

/** Anybody may set the title and clear entries of those who are gone; only owners give roles. */
function authorizeRoomState(
  room: RoomState,
  participants: readonly ParticipantId[],
  actor: ParticipantId,
  next: RoomState,
): void {
  if (next.kind !== room.kind) throw notAllowed('the kind of a room never changes');
  const present = new Set(participants);
  const absent = next.entries.find(
    ({ participant, role }) => !present.has(participant) && roleOf(room, participant) !== role,
  );
  if (absent !== undefined) throw notAllowed('only participants of the room are given a role');

  const rolesChange =
    next.defaultRole !== room.defaultRole ||
    participants.some((participant) => roleOf(room, participant) !== roleOf(next, participant));
  if (!rolesChange) return;
  if (roleOf(room, actor) !== 'owner') throw notAllowed('only an owner of the group gives roles');
  if (!participants.some((participant) => roleOf(next, participant) === 'owner')) {
    throw notAllowed('a group keeps at least one owner');
  }
}

function notAllowed(sentence: string): Failure {
  return new Failure('NOT_ALLOWED', sentence);
}

function sorted(entries: readonly ParticipantEntry[]): readonly ParticipantEntry[] {
  return entries.toSorted((a, b) => (a.participant < b.participant ? -1 : 1));
}

function writeEntry(writer: Writer, entry: ParticipantEntry): void {
  writer.fixed(participantBytes(entry.participant)).u8(ROLES[entry.role]);
}

function readEntry(reader: Reader): ParticipantEntry {
  const participant = toHex(reader.fixed(PARTICIPANT_BYTES));
  return { participant, role: nameOf(ROLES, reader, 'role') };
}

function nameOf<Name extends string>(
  table: Readonly<Record<Name, number>>,
  reader: Reader,
  what: string,
): Name {
  const number = reader.u8();
  for (const name in table) if (table[name] === number) return name;
  throw reader.refuse(`${what} ${number} is unknown`);
}
