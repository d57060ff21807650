import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import { DOMAIN_BYTES_MAX, parseDomain } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Reader, Writer } from '@roost/core/tls';
import { participantBytes, parseParticipantId } from '@roost/mls/room';
import type { ParticipantId } from '@roost/mls/room';

/** One leaf, as far as a message needs it. Its user is not known here, only who shares one. */
export interface Member {
  readonly leafIndex: number;
  readonly signatureKey: Uint8Array;
  readonly participant: ParticipantId;
  readonly wrappedLinkKey: Uint8Array;
  readonly queue: QueueConfig;
  /** The epoch that it entered in: nothing older is shown to it. */
  readonly joinedEpoch: bigint;
  /** It committed, so that it needs no join info any more. */
  readonly hasCommitted: boolean;
  /** It proposed to leave: it is heard no more. */
  readonly isLeaving: boolean;
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
}

export function rosterOf(
  members: readonly Member[],
  joinSecretHash: Uint8Array | undefined,
): Roster {
  const sorted = members.toSorted((a, b) => a.leafIndex - b.leafIndex);
  const byKey = new Map(sorted.map((member) => [toHex(member.signatureKey), member]));
  assert(byKey.size === sorted.length, 'no two leaves share a signature key');
  return { members: sorted, byKey, joinSecretHash };
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
  return rosterOf([...others, changed], roster.joinSecretHash);
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
  });
}

export function decodeRoster(bytes: Uint8Array): Roster {
  return decodeAll(bytes, 'roster', (reader) => {
    reader.version(VERSION);
    const members = reader.vector(MEMBERS_MAX, readMember);
    return rosterOf(
      members,
      reader.optional((each) => each.fixed(HASH_BYTES)),
    );
  });
}

const VERSION = 1;
const KEY_BYTES = 32;
const HASH_BYTES = 32;
const PARTICIPANT_BYTES = 16;
const WRAPPED_BYTES_MAX = 256;
/** More than `DsLimits.membersMax` may ever be. */
const MEMBERS_MAX = 100_000;
const COMMITTED = 1;
const LEAVING = 2;

function writeMember(writer: Writer, member: Member): void {
  writer.u32(member.leafIndex).fixed(member.signatureKey);
  writer.fixed(participantBytes(member.participant)).opaque(member.wrappedLinkKey);
  const { domain, handle, pushKey } = member.queue;
  writer.text(domain).fixed(handle).fixed(pushKey).u64(member.joinedEpoch);
  writer.u8((member.hasCommitted ? COMMITTED : 0) | (member.isLeaving ? LEAVING : 0));
}

function readMember(reader: Reader): Member {
  const leafIndex = reader.u32();
  const signatureKey = reader.fixed(KEY_BYTES);
  const participant = parseParticipantId(reader.fixed(PARTICIPANT_BYTES));
  const wrappedLinkKey = reader.opaque(WRAPPED_BYTES_MAX);
  const domain = parseDomain(reader.text(DOMAIN_BYTES_MAX));
  const queue = { domain, handle: reader.fixed(KEY_BYTES), pushKey: reader.fixed(KEY_BYTES) };
  const joinedEpoch = reader.u64();
  const flags = reader.u8();
  return {
    leafIndex,
    signatureKey,
    participant,
    wrappedLinkKey,
    queue,
    joinedEpoch,
    hasCommitted: (flags & COMMITTED) !== 0,
    isLeaving: (flags & LEAVING) !== 0,
  };
}
