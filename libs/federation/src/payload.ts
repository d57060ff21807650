import { type Pair, readPair, SEALED_BYTES_MAX, writePair } from '@roost/bus/frames';
import { GroupId, writeScoped } from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';

import { NUMBER_MAX } from './envelope.ts';

/** A client's request on its way to another homeserver: as it made it, with its proof. */
export interface FederatedCall {
  readonly request: Uint8Array;
  /** Empty where the method asks for none. */
  readonly proof: Uint8Array;
}

/** Events of one group on their way to another homeserver. */
export interface FederatedEvents {
  readonly groupId: GroupId;
  readonly events: readonly FederatedEvent[];
}

export interface FederatedEvent {
  readonly kind: 'event' | 'gap' | 'head';
  readonly number: Pair;
  readonly prev: Pair;
  /** A FanOut; empty but for events. */
  readonly fanOut: Uint8Array;
}

export const PROOF_BYTES_MAX = 1_024;
export const EVENTS_MAX = 64;

const VERSION = 1;
const REQUEST_BYTES_MAX = 2 * 1024 * 1024;
/** In the order of their numbers, from 1. */
const KINDS = ['event', 'gap', 'head'] as const;

export function encodeCall({ request, proof }: FederatedCall): Uint8Array<ArrayBuffer> {
  return encode((writer) => writer.u16(VERSION).opaque(request).opaque(proof));
}

export function decodeCall(bytes: Uint8Array): FederatedCall {
  return decodeAll(bytes, 'FederatedCall', (reader) => {
    reader.version(VERSION);
    return { request: reader.opaque(REQUEST_BYTES_MAX), proof: reader.opaque(PROOF_BYTES_MAX) };
  });
}

export function encodeEvents({ groupId, events }: FederatedEvents): Uint8Array<ArrayBuffer> {
  return encode((writer) => {
    writeScoped(writer.u16(VERSION), groupId);
    writer.vector(events, (each, { kind, number, prev, fanOut }) => {
      each.u8(KINDS.indexOf(kind) + 1);
      writePair(each, number);
      writePair(each, prev);
      each.opaque(fanOut);
    });
  });
}

/** At least one event; numbers are such as can be counted on from. */
export function decodeEvents(bytes: Uint8Array): FederatedEvents {
  return decodeAll(bytes, 'FederatedEvents', (reader) => {
    reader.version(VERSION);
    const groupId = GroupId.read(reader);
    const events = reader.vector(EVENTS_MAX, (each) => {
      const kind = KINDS[each.u8() - 1];
      if (kind === undefined) throw each.refuse('the kind of an event is unknown');
      const [number, prev] = [readPair(each), readPair(each)];
      if (number.n > NUMBER_MAX || prev.n > NUMBER_MAX) throw each.refuse('a number is absurd');
      const fanOut = each.opaque(SEALED_BYTES_MAX);
      if ((fanOut.length === 0) === (kind === 'event')) {
        throw each.refuse('events have something to fan out, and nothing else has');
      }
      return { kind, number, prev, fanOut };
    });
    if (events.length === 0) throw reader.refuse('it has no events');
    return { groupId, events };
  });
}
