import { assert } from '@roost/core/assert';
import { concat, utf8 } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { decodeAll, encode, type Reader, type Writer } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { hkdfExpand, hkdfExtract } from '@roost/crypto/hkdf';
import { openWith, sealTo } from '@roost/crypto/hpke';

/**
 * What lies in a queue, and the ratchet that it is encrypted with (proto/README, "Queue"). The QS
 * seals with it, the client opens; both only ever step forward.
 */
export type QueueItem =
  | { readonly kind: 'event'; readonly storedAtMs: bigint; readonly groupEvent: Uint8Array }
  /** At least so many events were lost: repair by each group's log. */
  | { readonly kind: 'gap'; readonly storedAtMs: bigint; readonly events: bigint }
  /** So few single-use KeyPackages are left. */
  | { readonly kind: 'low-water'; readonly storedAtMs: bigint; readonly available: number };

/** A run of sequences in one ciphertext. */
export interface QueueRun {
  readonly firstSequence: bigint;
  readonly count: number;
  readonly ciphertext: Uint8Array;
}

/** How far a reader has come: what it keeps between runs. */
export interface QueueReader {
  /** The sequence that it reads next. */
  readonly next: bigint;
  readonly state: Uint8Array;
}

export const RUN_ITEMS_MAX = 256;
export const STATE_BYTES = 32;

/** Before the first run, and again where runs were lost. */
export const emptyState: Uint8Array = new Uint8Array(STATE_BYTES);

export function encodeQueueBatch(items: readonly QueueItem[]): Uint8Array<ArrayBuffer> {
  assert(items.length > 0 && items.length <= RUN_ITEMS_MAX, 'a run has 1 to 256 items');
  return encode((writer) => writer.u16(VERSION).vector(items, writeItem));
}

export function decodeQueueBatch(bytes: Uint8Array): QueueItem[] {
  return decodeAll(bytes, 'QueueBatch', (reader) => {
    reader.version(VERSION);
    return reader.vector(RUN_ITEMS_MAX, readItem);
  });
}

/** Draws a fresh secret, seals it to the queue key and mixes it in: a run of one. */
export function sealSecret(
  crypto: Crypto,
  state: Uint8Array,
  queueKey: Uint8Array,
  firstSequence: bigint,
): { readonly state: Uint8Array; readonly run: QueueRun } {
  const secret = crypto.random(STATE_BYTES);
  const binding = { info: SECRET_INFO, aad: secretAad(firstSequence) };
  const sealed = sealTo(crypto, queueKey, binding, secret);
  return {
    state: hkdfExtract(crypto, state, secret),
    run: { firstSequence, count: 1, ciphertext: concat(SECRET_KIND, sealed) },
  };
}

/** Seals an encoded QueueBatch of `count` items and steps on. */
export function sealBatch(
  crypto: Crypto,
  state: Uint8Array,
  place: { readonly firstSequence: bigint; readonly count: number },
  batch: Uint8Array,
): { readonly state: Uint8Array; readonly run: QueueRun } {
  const key = hkdfExpand(crypto, state, KEY_LABEL, STATE_BYTES);
  const sealed = crypto.seal(key, NONCE, batchAad(place.firstSequence, place.count), batch);
  return {
    state: hkdfExpand(crypto, state, NEXT_LABEL, STATE_BYTES),
    run: { ...place, ciphertext: concat(BATCH_KIND, sealed) },
  };
}

/**
 * Opens the next run. Where runs before it were lost (they expired), it is a secret, and the ratchet
 * begins anew with it. Throws `MALFORMED` where the run is not the one that the queue made.
 */
export function openRun(
  crypto: Crypto,
  reader: QueueReader,
  queuePrivateKey: Uint8Array,
  run: QueueRun,
): QueueReader & { readonly items: readonly QueueItem[] } {
  if (run.firstSequence < reader.next) throw refuse('it was read before');
  const isAnew = run.firstSequence > reader.next;
  const state = isAnew ? emptyState : reader.state;
  const next = run.firstSequence + BigInt(run.count);
  const body = run.ciphertext.subarray(1);
  if (run.ciphertext[0] === SECRET_KIND[0]) {
    if (run.count !== 1) throw refuse('a secret is one message');
    const binding = { info: SECRET_INFO, aad: secretAad(run.firstSequence) };
    const secret = openWith(crypto, queuePrivateKey, binding, body);
    if (secret?.length !== STATE_BYTES) throw refuse('its secret does not open');
    return { next, state: hkdfExtract(crypto, state, secret), items: [] };
  }
  if (run.ciphertext[0] !== BATCH_KIND[0]) throw refuse('its kind is unknown');
  if (isAnew) throw refuse('runs are missing before it');
  const key = hkdfExpand(crypto, state, KEY_LABEL, STATE_BYTES);
  const batch = crypto.open(key, NONCE, batchAad(run.firstSequence, run.count), body);
  if (batch === undefined) throw refuse('it does not open');
  const items = decodeQueueBatch(batch);
  if (items.length !== run.count) throw refuse('it does not hold as many items as it says');
  return { next, state: hkdfExpand(crypto, state, NEXT_LABEL, STATE_BYTES), items };
}

/**
 * Goes on behind a run that does not open. Where its bytes alone are bad, and it was no secret, the runs
 * behind it open; what it held is lost.
 */
export function passOver(crypto: Crypto, reader: QueueReader, run: QueueRun): QueueReader {
  const next = run.firstSequence + BigInt(run.count);
  const isSecret = run.ciphertext[0] === SECRET_KIND[0];
  if (isSecret || run.firstSequence !== reader.next) return { next, state: emptyState };
  return { next, state: hkdfExpand(crypto, reader.state, NEXT_LABEL, STATE_BYTES) };
}

const VERSION = 1;
const SECRET_KIND = Uint8Array.of(1);
const BATCH_KIND = Uint8Array.of(2);
const SECRET_INFO = utf8('Roost 1.0 QueueSecret');
const KEY_LABEL = utf8('key');
const NEXT_LABEL = utf8('next');
/** Each key seals once. */
const NONCE = new Uint8Array(12);
/** A handshake of 2 MiB and what is around it. */
const ITEM_BYTES_MAX = 3 * 1024 * 1024;

function secretAad(firstSequence: bigint): Uint8Array {
  const aad = new Uint8Array(8);
  new DataView(aad.buffer).setBigUint64(0, firstSequence);
  return aad;
}

function batchAad(firstSequence: bigint, count: number): Uint8Array {
  const aad = new Uint8Array(12);
  const view = new DataView(aad.buffer);
  view.setBigUint64(0, firstSequence);
  view.setUint32(8, count);
  return aad;
}

function writeItem(writer: Writer, item: QueueItem): void {
  switch (item.kind) {
    case 'event':
      writer.u8(1).u64(item.storedAtMs).opaque(item.groupEvent);
      return;
    case 'gap':
      writer.u8(2).u64(item.storedAtMs);
      writer.opaque(encode((body) => body.u64(item.events)));
      return;
    case 'low-water':
      writer.u8(3).u64(item.storedAtMs);
      writer.opaque(encode((body) => body.u32(item.available)));
  }
}

function readItem(reader: Reader): QueueItem {
  const kind = reader.u8();
  const storedAtMs = reader.u64();
  const body = reader.opaque(ITEM_BYTES_MAX);
  switch (kind) {
    case 1:
      return { kind: 'event', storedAtMs, groupEvent: body };
    case 2:
      return decodeAll(body, 'QueueItem', (b) => ({ kind: 'gap', storedAtMs, events: b.u64() }));
    case 3:
      return decodeAll(body, 'QueueItem', (b) => {
        return { kind: 'low-water', storedAtMs, available: b.u32() };
      });
    default:
      throw reader.refuse('the kind of an item is unknown');
  }
}

function refuse(message: string): Failure {
  return new Failure('MALFORMED', `QueueRun: ${message}`);
}
