import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { DOMAIN_BYTES_MAX, parseDomain } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';
import { readRole } from '@roost/mls/policy';
import { ROLES } from '@roost/mls/roles';
import type { Role } from '@roost/mls/roles';
import { participantBytes, parseParticipantId, roleCan } from '@roost/mls/room';
import type { ParticipantId, RoomState } from '@roost/mls/room';

/** One leaf, as far as a message needs it. Its user is not known here, only who shares one. */
export interface Member {
  readonly leafIndex: number;
  readonly signatureKey: Uint8Array;
  readonly participant: ParticipantId;
  /** The role of its participant, so that a message does not open the tree. */
  readonly role: Role;
  readonly wrappedLinkKey: Uint8Array;
  readonly queue: QueueConfig;
  /** The epoch that it entered in: nothing older is shown to it. */
  readonly joinedEpoch: bigint;
  /** It committed, so that it needs no join info any more. */
  readonly hasCommitted: boolean;
  /** It proposed to leave: it is heard no more. */
  readonly isLeaving: boolean;
  /** The month that it was last heard in (`monthOf`). */
  readonly activeMonth: number;
  /** How often it came back by external commit on the last day that it did. */
  readonly resyncs: { readonly day: number; readonly count: number };
}

/** Where a member's messages go: an opaque capability of its QS (design §5). */
export interface QueueConfig {
  readonly domain: Domain;
  readonly handle: Uint8Array;
  readonly pushKey: Uint8Array;
}

/** Who is in a group. Immutable: a changed one has another version. */
export interface Roster {
  /** By leaf index. */
  readonly members: readonly Member[];
  /** By the hex of the signature key. */
  readonly byKey: ReadonlyMap<string, Member>;
  /** SHA-256 of what lets somebody join by external commit, once (design §7). */
  readonly joinSecretHash: Uint8Array | undefined;
  /** How many proposals wait for the next commit. */
  readonly pending: number;
  /** SHA-256 of the policy that the hub proposed and the members did not want. */
  readonly refusedPolicy: Uint8Array | undefined;
  /** The group was given up for another: it is only read. */
  readonly isFrozen: boolean;
  /** The roles that hold canSendMessage. */
  readonly speaking: ReadonlySet<Role>;
}

export type RosterRest = Omit<Roster, 'members' | 'byKey'>;

export function rosterOf(members: readonly Member[], rest: RosterRest): Roster {
  const { joinSecretHash, pending, refusedPolicy, isFrozen, speaking } = rest;
  const sorted = members.toSorted((a, b) => a.leafIndex - b.leafIndex);
  const byKey = new Map(sorted.map((member) => [toHex(member.signatureKey), member]));
  assert(byKey.size === sorted.length, 'no two leaves share a signature key');
  return { members: sorted, byKey, joinSecretHash, pending, refusedPolicy, isFrozen, speaking };
}

/** What a roster says of a group that has just begun. */
export function restOf(room: RoomState, joinSecretHash: Uint8Array | undefined): RosterRest {
  const speaking = speakingIn(room);
  return { joinSecretHash, pending: 0, refusedPolicy: undefined, isFrozen: false, speaking };
}

export function speakingIn(room: RoomState): ReadonlySet<Role> {
  const roles = room.roles.map(({ role }) => role);
  return new Set(roles.filter((role) => roleCan(room, role, 'canSendMessage')));
}

/** Refuses whatever would change a group that was given up for another. */
export function assertNotFrozen({ isFrozen }: Roster): void {
  if (isFrozen) throw new Failure('GROUP_FROZEN', 'this group was given up for another one');
}

export function memberOfKey(roster: Roster, signatureKey: Uint8Array): Member | undefined {
  return roster.byKey.get(toHex(signatureKey));
}

/** Each participant once. */
export function participantsOf(members: readonly Member[]): ParticipantId[] {
  return [...new Set(members.map(({ participant }) => participant))];
}

/** The roster with another version of one member. */
export function withMember(roster: Roster, changed: Member): Roster {
  const others = roster.members.filter(({ leafIndex }) => leafIndex !== changed.leafIndex);
  return rosterOf([...others, changed], roster);
}

/** Whether nothing in one roster is another than in the other, by what both hold. */
export function isSameRoster(a: Roster, b: Roster): boolean {
  return (
    a.members.length === b.members.length &&
    a.members.every((member, at) => member === b.members[at]) &&
    a.joinSecretHash === b.joinSecretHash &&
    a.pending === b.pending &&
    a.refusedPolicy === b.refusedPolicy &&
    a.isFrozen === b.isFrozen &&
    a.speaking === b.speaking
  );
}

/** The epochs whose joiners may still ask for their join info. */
export function awaitedEpochs(roster: Roster): bigint[] {
  const waiting = roster.members.filter(({ hasCommitted }) => !hasCommitted);
  return [...new Set(waiting.map(({ joinedEpoch }) => joinedEpoch))];
}

export function encodeRoster(roster: Roster): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION).vector(roster.members, writeMember);
    writer.optional(roster.joinSecretHash, (each, hash) => each.fixed(hash));
    writer.u32(roster.pending);
    writer.optional(roster.refusedPolicy, (each, hash) => each.fixed(hash));
    writer.u8(roster.isFrozen ? 1 : 0);
    writer.vector([...roster.speaking], (each, role) => each.u8(ROLES[role]));
  });
}

export function decodeRoster(bytes: Uint8Array): Roster {
  return decodeAll(bytes, 'roster', (reader) => {
    reader.version(VERSION);
    const members = reader.vector(MEMBERS_MAX, readMember);
    return rosterOf(members, {
      joinSecretHash: reader.optional((each) => each.fixed(HASH_BYTES)),
      pending: reader.u32(),
      refusedPolicy: reader.optional((each) => each.fixed(HASH_BYTES)),
      isFrozen: reader.u8() === 1,
      speaking: new Set(reader.vector(ROLES_MAX, readRole)),
    });
  });
}

const VERSION = 2;
const KEY_BYTES = 32;
const HASH_BYTES = 32;
const PARTICIPANT_BYTES = 16;
const WRAPPED_BYTES_MAX = 256;
const ROLES_MAX = Object.keys(ROLES).length;
/** More than `DsLimits.membersMax` may ever be. */
const MEMBERS_MAX = 100_000;
const COMMITTED = 1;
const LEAVING = 2;

function writeMember(writer: Writer, member: Member): void {
  writer.u32(member.leafIndex).fixed(member.signatureKey);
  writer.fixed(participantBytes(member.participant)).u8(ROLES[member.role]);
  writer.opaque(member.wrappedLinkKey);
  const { domain, handle, pushKey } = member.queue;
  writer.text(domain).fixed(handle).fixed(pushKey).u64(member.joinedEpoch);
  writer.u8((member.hasCommitted ? COMMITTED : 0) | (member.isLeaving ? LEAVING : 0));
  writer.u32(member.activeMonth).u32(member.resyncs.day).u32(member.resyncs.count);
}

function readMember(reader: Reader): Member {
  const leafIndex = reader.u32();
  const signatureKey = reader.fixed(KEY_BYTES);
  const participant = parseParticipantId(reader.fixed(PARTICIPANT_BYTES));
  const role = readRole(reader);
  const wrappedLinkKey = reader.opaque(WRAPPED_BYTES_MAX);
  const domain = parseDomain(reader.text(DOMAIN_BYTES_MAX));
  const queue = { domain, handle: reader.fixed(KEY_BYTES), pushKey: reader.fixed(KEY_BYTES) };
  const joinedEpoch = reader.u64();
  const flags = reader.u8();
  return {
    leafIndex,
    signatureKey,
    participant,
    role,
    wrappedLinkKey,
    queue,
    joinedEpoch,
    hasCommitted: (flags & COMMITTED) !== 0,
    isLeaving: (flags & LEAVING) !== 0,
    activeMonth: reader.u32(),
    resyncs: { day: reader.u32(), count: reader.u32() },
  };
}
