import { assert } from '@roost/core/assert';
import { DOMAIN_BYTES_MAX, GroupId, parseDomain, writeScoped, type Domain } from '@roost/core/ids';
import { decodeAll, encode, Reader, type Writer } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, sealRandom } from '@roost/crypto/sealed';

/** What travels from the DS to the QS or to the gateway, and back (proto/README, "Bus"). */
export interface BusBatch {
  /** The homeserver whose DS speaks: the hub of all its groups. */
  readonly source: Domain;
  readonly events: readonly BusEvent[];
}

/** For the users of another homeserver: what the gateway takes, and nobody else. */
export interface RemoteBatch extends BusBatch {
  readonly destination: Domain;
}

export interface BusEvent {
  readonly kind: 'event' | 'gap' | 'head';
  readonly groupId: GroupId;
  readonly number: Pair;
  readonly prev: Pair;
  /** A FanOut under the transport key; empty but for events. */
  readonly sealed: Uint8Array;
}

/** Compared lexicographically: the incarnation grows with each restore of the sender. */
export interface Pair {
  readonly incarnation: number;
  readonly n: bigint;
}

export interface FanOut {
  /** Where the event stands in a trace that is exported (`trace.ts`); none but for those. */
  readonly trace?: Uint8Array | undefined;
  readonly recipients: readonly Recipient[];
  readonly groupEvent: Uint8Array;
}

export interface Recipient {
  readonly handle: Uint8Array;
  readonly pushKey: Uint8Array;
  /** Where it is not empty, it takes the place of the shared event. */
  readonly extra: Uint8Array;
}

export interface BusAnswer {
  readonly marks: readonly Mark[];
  readonly gone: readonly Gone[];
}

export interface Mark {
  readonly groupId: GroupId;
  readonly mark: Pair;
}

/** The client record behind this handle was deleted. */
export interface Gone {
  readonly groupId: GroupId;
  readonly handle: Uint8Array;
}

export const PARTITIONS = 16;
export const BATCH_EVENTS_MAX = 1_024;
/** The sender cuts at 256 recipients and 384 KiB, unless one message alone is larger. */
export const RECIPIENTS_MAX = 256;
export const PART_BYTES_MAX = 384 * 1024;
/** What a FanOut can hold at most: a handshake of 2 MiB and 256 recipients. */
export const SEALED_BYTES_MAX = 4 * 1024 * 1024;
export const HANDLE_BYTES = 32;
export const PUSH_KEY_BYTES = 32;

export const firstPair: Pair = { incarnation: 0, n: 0n };

/** Negative, zero or positive as `a` lies before, at or after `b`. */
export function comparePairs(a: Pair, b: Pair): number {
  if (a.incarnation !== b.incarnation) return a.incarnation - b.incarnation;
  return a.n < b.n ? -1 : a.n > b.n ? 1 : 0;
}

/** Which of the 16 partitions carries a group: the events of one never overtake each other. */
export function partitionOf(crypto: Crypto, groupId: GroupId): number {
  const digest = crypto.sha256(encode((writer) => writeScoped(writer, groupId)));
  return (digest[0] ?? 0) % PARTITIONS;
}

export function encodeBusBatch({ source, events }: BusBatch): Uint8Array<ArrayBuffer> {
  return encode((writer) => writer.u16(VERSION).text(source).vector(events, writeEvent));
}

export function decodeBusBatch(bytes: Uint8Array): BusBatch {
  return decodeAll(bytes, 'BusBatch', (reader) => {
    reader.version(VERSION);
    const source = parseDomain(reader.text(DOMAIN_BYTES_MAX), 'source');
    return { source, events: reader.vector(BATCH_EVENTS_MAX, readEvent) };
  });
}

export function encodeRemoteBatch({
  source,
  destination,
  events,
}: RemoteBatch): Uint8Array<ArrayBuffer> {
  return encode((writer) =>
    writer.u16(REMOTE_VERSION).text(source).text(destination).vector(events, writeEvent),
  );
}

/** A batch without a destination is refused here, as one with a destination is by `decodeBusBatch`. */
export function decodeRemoteBatch(bytes: Uint8Array): RemoteBatch {
  return decodeAll(bytes, 'BusBatch', (reader) => {
    reader.version(REMOTE_VERSION);
    const source = parseDomain(reader.text(DOMAIN_BYTES_MAX), 'source');
    const destination = parseDomain(reader.text(DOMAIN_BYTES_MAX), 'destination');
    return { source, destination, events: reader.vector(BATCH_EVENTS_MAX, readEvent) };
  });
}

export function encodeBusAnswer({ marks, gone }: BusAnswer): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writer.u16(VERSION);
    writer.vector(marks, (each, { groupId, mark }) => {
      writeScoped(each, groupId);
      writePair(each, mark);
    });
    writer.vector(gone, (each, { groupId, handle }) => {
      writeScoped(each, groupId);
      each.fixed(handle);
    });
  });
}

export function decodeBusAnswer(bytes: Uint8Array): BusAnswer {
  return decodeAll(bytes, 'BusAnswer', (reader) => {
    reader.version(VERSION);
    return {
      marks: reader.vector(BATCH_EVENTS_MAX, (each) => ({
        groupId: GroupId.read(each),
        mark: readPair(each),
      })),
      gone: reader.vector(BATCH_EVENTS_MAX * RECIPIENTS_MAX, (each) => ({
        groupId: GroupId.read(each),
        handle: each.fixed(HANDLE_BYTES),
      })),
    };
  });
}

/** Where a FanOut stands: what it is bound to by its seal. */
export type FanOutPlace = Pick<BusEvent, 'groupId' | 'number' | 'prev'>;

export function sealFanOut(
  crypto: Crypto,
  transportKey: Uint8Array,
  place: FanOutPlace,
  fanOut: FanOut,
): Uint8Array<ArrayBuffer> {
  return sealRandom(crypto, transportKey, placeAad(place), encodeFanOut(fanOut));
}

export function encodeFanOut({ trace, recipients, groupEvent }: FanOut): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    // Nothing is different for what is not traced, so that a receiver of yesterday reads it too.
    if (trace === undefined || trace.length === 0) writer.u16(VERSION);
    else writer.u16(TRACED_VERSION).fixed(trace);
    writer.vector(recipients, (each, { handle, pushKey, extra }) => {
      assert(
        handle.length === HANDLE_BYTES && pushKey.length === PUSH_KEY_BYTES,
        'both are 32 bytes',
      );
      each.fixed(handle).fixed(pushKey).opaque(extra);
    });
    writer.opaque(groupEvent);
  });
}

/** `undefined` where it was sealed by another key or for another place; throws `MALFORMED`. */
export function openFanOut(
  crypto: Crypto,
  transportKey: Uint8Array,
  { sealed, ...place }: FanOutPlace & { readonly sealed: Uint8Array },
): FanOut | undefined {
  const plaintext = openSealed(crypto, transportKey, placeAad(place), sealed);
  return plaintext && decodeFanOut(plaintext);
}

/** Throws `MALFORMED`. */
export function decodeFanOut(plaintext: Uint8Array): FanOut {
  return decodeAll(plaintext, 'FanOut', (reader) => {
    const trace = readTrace(reader);
    return {
      ...(trace === undefined ? {} : { trace }),
      recipients: reader.vector(RECIPIENTS_MAX, (each) => ({
        handle: each.fixed(HANDLE_BYTES),
        pushKey: each.fixed(PUSH_KEY_BYTES),
        extra: each.opaque(SEALED_BYTES_MAX),
      })),
      groupEvent: reader.opaque(SEALED_BYTES_MAX),
    };
  });
}

/** The trace of a FanOut, for who carries it and need not know the rest. */
export function traceOfFanOut(
  crypto: Crypto,
  transportKey: Uint8Array,
  { sealed, ...place }: FanOutPlace & { readonly sealed: Uint8Array },
): Uint8Array | undefined {
  const plaintext = openSealed(crypto, transportKey, placeAad(place), sealed);
  return plaintext === undefined ? undefined : readTrace(new Reader(plaintext, 'FanOut'));
}

const VERSION = 1;
/** Of a batch with a destination. */
const REMOTE_VERSION = 2;
/** Of a FanOut that carries a trace. */
const TRACED_VERSION = 2;
/** A trace id and a span id. */
export const TRACE_BYTES = 24;

/** In the order of their numbers, from 1. */
const KINDS = ['event', 'gap', 'head'] as const;

function readTrace(reader: Reader): Uint8Array | undefined {
  const version = reader.version(VERSION, TRACED_VERSION);
  return version === TRACED_VERSION ? reader.fixed(TRACE_BYTES) : undefined;
}

function placeAad({ groupId, number, prev }: FanOutPlace): Uint8Array {
  return encode((writer) => {
    writeScoped(writer, groupId);
    writePair(writer, number);
    writePair(writer, prev);
  });
}

export function encodePair(pair: Pair): Uint8Array<ArrayBuffer> {
  return encode((writer) => writePair(writer, pair));
}

export function writePair(writer: Writer, { incarnation, n }: Pair): void {
  writer.u32(incarnation).u64(n);
}

export function readPair(reader: Reader): Pair {
  return { incarnation: reader.u32(), n: reader.u64() };
}

function writeEvent(writer: Writer, event: BusEvent): void {
  writer.u8(KINDS.indexOf(event.kind) + 1);
  writeScoped(writer, event.groupId);
  writePair(writer, event.number);
  writePair(writer, event.prev);
  writer.opaque(event.sealed);
}

/** A sealed part of any length is let through here: one that is wrong costs itself, not the batch. */
function readEvent(reader: Reader): BusEvent {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined) throw reader.refuse('the kind of an event is unknown');
  const groupId = GroupId.read(reader);
  const number = readPair(reader);
  const prev = readPair(reader);
  return { kind, groupId, number, prev, sealed: reader.opaque(reader.remaining) };
}
