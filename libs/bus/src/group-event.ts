import { assert } from '@roost/core/assert';
import { GroupId, writeScoped } from '@roost/core/ids';
import { decodeAll, encode, type Reader } from '@roost/core/tls';

/** What a hub tells the members of a group (proto/README, "Queue"). */
export type GroupEvent = GroupEventHead &
  (
    | { readonly kind: 'commit' | 'proposal' | 'application'; readonly mlsMessage: Uint8Array }
    | { readonly kind: 'welcome'; readonly mlsMessage: Uint8Array; readonly joiner: WelcomeExtra }
    | { readonly kind: 'group-deleted' }
  );

export interface GroupEventHead {
  readonly groupId: GroupId;
  /** The one that the message was made in; of a Welcome the one that it leads to. */
  readonly epoch: bigint;
  readonly acceptedAtMs: bigint;
}

export interface WelcomeExtra {
  readonly keyPackageRef: Uint8Array;
  /** HPKE to the KeyPackage's init key. */
  readonly joinerInfo: Uint8Array;
}

/** Handshakes are the largest messages: 2 MiB. */
export const MLS_MESSAGE_BYTES_MAX = 2 * 1024 * 1024;
export const JOINER_INFO_BYTES_MAX = 16 * 1024;

export function encodeGroupEvent(event: GroupEvent): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION).u8(KINDS.indexOf(event.kind) + 1);
    writeScoped(writer, event.groupId);
    writer.u64(event.epoch).u64(event.acceptedAtMs);
    writer.opaque(event.kind === 'group-deleted' ? NOTHING : event.mlsMessage);
    writer.opaque(event.kind === 'welcome' ? encodeExtra(event.joiner) : NOTHING);
  });
}

export function decodeGroupEvent(bytes: Uint8Array): GroupEvent {
  return decodeAll(bytes, 'GroupEvent', (reader) => {
    reader.version(VERSION);
    const kind = KINDS[reader.u8() - 1];
    if (kind === undefined) throw reader.refuse('its kind is unknown');
    const head = {
      groupId: GroupId.read(reader),
      epoch: reader.u64(),
      acceptedAtMs: reader.u64(),
    };
    const mlsMessage = reader.opaque(MLS_MESSAGE_BYTES_MAX);
    const extra = reader.opaque(JOINER_INFO_BYTES_MAX + EXTRA_OVERHEAD);
    return { ...head, ...bodyOf(reader, kind, mlsMessage, extra) };
  });
}

const VERSION = 1;
/** In the order of their numbers, from 1. */
const KINDS = ['commit', 'proposal', 'application', 'welcome', 'group-deleted'] as const;
const NOTHING = new Uint8Array(0);
const REF_BYTES = 32;
const EXTRA_OVERHEAD = REF_BYTES + 4;

function bodyOf(
  reader: Reader,
  kind: GroupEvent['kind'],
  mlsMessage: Uint8Array,
  extra: Uint8Array,
) {
  if ((mlsMessage.length === 0) !== (kind === 'group-deleted')) {
    throw reader.refuse('every kind but the deletion of the group has a message');
  }
  if (kind === 'welcome') return { kind, mlsMessage, joiner: decodeExtra(extra) };
  if (extra.length > 0) throw reader.refuse('only a Welcome has more than its message');
  return kind === 'group-deleted' ? { kind } : { kind, mlsMessage };
}

function encodeExtra({ keyPackageRef, joinerInfo }: WelcomeExtra): Uint8Array {
  assert(keyPackageRef.length === REF_BYTES, 'a KeyPackageRef of our suites is 32 bytes long');
  return encode((writer) => writer.fixed(keyPackageRef).opaque(joinerInfo));
}

function decodeExtra(extra: Uint8Array): WelcomeExtra {
  return decodeAll(extra, 'GroupEvent.extra', (reader) => ({
    keyPackageRef: reader.fixed(REF_BYTES),
    joinerInfo: reader.opaque(JOINER_INFO_BYTES_MAX),
  }));
}
