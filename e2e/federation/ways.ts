// Every way into a homeserver that another one has, from the table of all rules: what travels (`federated`), and
// the methods of PeerService. A new one is here by itself, or the tests say what they lack.
import { encodeFanOut } from '@roost/bus/frames';
import { utf8 } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { type ClientMethod, CLIENT_METHODS } from '@roost/rpc/client-methods';
import { encodeWith, pathOf } from '@roost/rpc/definition';
import {
  callPayload,
  eventsPayload,
  type Group,
  tagOf,
  type Words,
  type Written,
} from './forge.ts';

/** What is said by way of one method, as it should be. */
export interface Said {
  readonly words: Omit<Words, 'keyId' | 'payloadHash'>;
  readonly payload: Uint8Array;
}

export interface Between {
  readonly source: string;
  readonly destination: string;
}

export interface Way {
  /** As the tables show it. */
  readonly name: string;
  readonly method: string;
  readonly kind: 'call' | 'group';
  /** The field that says whose it is; of a delivery its group. */
  readonly names: 'group_id' | 'id' | 'user_name' | 'domain';
  /** About what is at the homeserver `at`: the source's own for deliveries, the destination's for calls. */
  say(between: Between, at?: string): Said;
}

export const DELIVER = pathOf(PeerServiceDefinition, PeerServiceDefinition.methods.deliver);
export const FIRST: Written = { incarnation: 0, n: 0n };
const LIFE_MS = 60_000;

/** Methods of clients that travel. */
export const FEDERATED = [...CLIENT_METHODS.values()].filter(({ rule }) => rule.federated);

export const WAYS: readonly Way[] = [
  ...FEDERATED.map(callOf),
  { name: 'Deliver', method: DELIVER, kind: 'group', names: 'group_id', say: sayDelivery },
];

function callOf({ path, rule, definition }: ClientMethod): Way {
  const { destination } = rule;
  const names = namesOf(destination);
  const say: Way['say'] = (between, at = between.destination) => {
    const group = groupAt(at);
    const request = requestOf({ definition, rule }, group, at);
    const groupTag =
      names === 'group_id' ? tagOf(between.source, between.destination, group) : NOTHING;
    return { words: wordsOf(between, path, groupTag), payload: callPayload(request) };
  };
  return { name: path.split('/').at(-1) ?? path, method: path, kind: 'call', names, say };
}

function namesOf(destination: string): Way['names'] {
  if (destination === 'group_id') return destination;
  if (destination.endsWith('_name')) return 'user_name';
  return destination.endsWith('domain') ? 'domain' : 'id';
}

/** An empty request, but for where it goes. */
export function requestOf(
  { definition, rule }: Pick<ClientMethod, 'definition' | 'rule'>,
  group: Group,
  at: string,
  fields: Readonly<Record<string, unknown>> = {},
): Uint8Array {
  const field = rule.destination.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const empty = definition.requestType.decode(NOTHING) as Record<string, unknown>;
  const value = /name$/i.test(field) ? `bob@${at}` : /domain$/i.test(field) ? at : group;
  return encodeWith(definition.requestType, { ...empty, ...fields, [field]: value });
}

function sayDelivery(between: Between, at = between.source): Said {
  const group = groupAt(at);
  const number = { incarnation: 1, n: 1n };
  return {
    words: {
      ...wordsOf(between, DELIVER, tagOf(between.source, between.destination, group)),
      number,
    },
    payload: eventsPayload(group, [{ number, prev: FIRST, fanOut: fanOutOf('a word') }]),
  };
}

/** For a handle that nobody has. */
export function fanOutOf(text: string): Uint8Array {
  const [handle, pushKey] = [crypto.random(32), crypto.random(32)];
  const recipients = [{ handle, pushKey, extra: NOTHING }];
  return encodeFanOut({ recipients, groupEvent: utf8(text) });
}

export function wordsOf(between: Between, method: string, groupTag: Uint8Array): Said['words'] {
  const createdMs = Date.now();
  return {
    ...{ source: between.source, destination: between.destination, method, groupTag },
    ...{ createdMs, expiresMs: createdMs + LIFE_MS, messageId: crypto.random(16), number: FIRST },
  };
}

/** One that is not there. */
export function groupAt(domain: string): Group {
  const uuid = crypto.random(16).map((byte, at) => {
    if (at === 6) return (byte & 0x0f) | 0x40;
    return at === 8 ? (byte & 0x3f) | 0x80 : byte;
  });
  return { uuid, domain };
}

const NOTHING = new Uint8Array(0);
