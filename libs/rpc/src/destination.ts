import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, parseDomain, parseUserName, type ScopedWire } from '@roost/core/ids';
import { SECOND_MS } from '@roost/core/time';
import type { Rule } from '@roost/proto/roost/access/v1/access';
import type { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';

import { type Client, DEADLINE_MS } from './call.ts';

/** What calls in the name of another homeserver, once that has proved who it is and was counted. */
export const GATEWAY = 'federation-gateway';
/** How the gateway says whose request it brings; nobody else is heard about it. */
export const SOURCE_HEADER = 'roost-source';

/** A request for another homeserver: as the client made it. */
export interface ForwardedCall {
  readonly destination: Domain;
  /** The full path. */
  readonly method: string;
  /** The message as it crossed the wire. */
  readonly request: Uint8Array;
  /** The metadata `roost-proof-bin`. */
  readonly proof: Uint8Array | undefined;
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal;
}

/** Carries a request to the homeserver that it is for, and brings its answer as it was given there. */
export type Forward = (call: ForwardedCall) => Promise<Uint8Array>;

/**
 * The homeserver that a request is for, by the field that its rule names: an id, a `name@domain` or a
 * domain. What names none is for us; the handler then says what is wrong with it, if anything.
 */
export function destinationOf({ destination }: Rule, request: unknown, home: Domain): Domain {
  if (destination === '') return home;
  const value = fieldOf(request, camelCase(destination));
  if (typeof value === 'object' && value !== null) {
    const domain = fieldOf(value, 'domain');
    return typeof domain === 'string' ? parseDomain(domain, `${destination}.domain`) : home;
  }
  if (typeof value !== 'string' || value === '') return home;
  if (destination.endsWith('domain')) return parseDomain(value, destination);
  // As the handler will read it: what is folded there is folded here.
  return parseUserName(value, home, destination).domain;
}

/** Forwards by the homeserver's own gateway. */
export function forwardBy(
  gateway: Pick<Client<typeof FederationInternalServiceDefinition>, 'forward'>,
): Forward {
  return async ({ destination, method, request, proof, deadlineMs = DEADLINE_MS, signal }) => {
    const left = Math.min(FORWARD_MS, deadlineMs - HOP_MS);
    if (left <= 0) throw new Failure('UNAVAILABLE', 'there is no time left to ask elsewhere');
    const { response } = await gateway.forward(
      { destination, method, request, proof: proof ?? NOTHING },
      { deadlineMs: left, signal },
    );
    return response;
  };
}

/** The group whose hub a request is for; `undefined` where its rule names none. Throws `MALFORMED`. */
export function groupOf({ destination }: Rule, request: unknown): GroupId | undefined {
  if (destination !== 'group_id') return undefined;
  return GroupId.parse(scopedIn(fieldOf(request, 'groupId')), destination);
}

function scopedIn(value: unknown): ScopedWire | undefined {
  const [uuid, domain] = [fieldOf(value, 'uuid'), fieldOf(value, 'domain')];
  // Under Jest bytes come from another realm than ours.
  const isWhole = ArrayBuffer.isView(uuid) && typeof domain === 'string';
  return isWhole ? { uuid: uuid as Uint8Array, domain } : undefined;
}

/** How a request gets to its destination; `undefined` where that is here. */
export function wayTo(
  destination: Domain,
  { audience, forward }: { readonly audience: Domain; readonly forward?: Forward | undefined },
  source: Domain | undefined,
): Forward | undefined {
  if (destination === audience) return undefined;
  // What another homeserver brought is not passed on: nobody is asked by way of us.
  if (source !== undefined) {
    throw new Failure('FEDERATION_DENIED', `this homeserver is not ${destination}`);
  }
  if (forward !== undefined) return forward;
  throw new Failure(
    'FEDERATION_DENIED',
    `federation is not configured: this homeserver does not reach ${destination}`,
  );
}

const NOTHING = new Uint8Array(0);
/** What each hop keeps for itself, to answer in time. */
const HOP_MS = SECOND_MS;
const FORWARD_MS = 20 * SECOND_MS;

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function fieldOf(message: unknown, name: string): unknown {
  return typeof message === 'object' && message !== null ? Reflect.get(message, name) : undefined;
}
