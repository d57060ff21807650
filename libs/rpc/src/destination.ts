import { Failure, type Reason } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { SECOND_MS } from '@roost/core/time';
import type { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';

import { type Client, DEADLINE_MS } from './call.ts';

export { destinationOf, GATEWAY, groupOf } from './addressed.ts';

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

/** Forwards by the homeserver's own gateway. */
export function forwardBy(
  gateway: Pick<Client<typeof FederationInternalServiceDefinition>, 'forward'>,
): Forward {
  return async ({ destination, method, request, proof, deadlineMs = DEADLINE_MS, signal }) => {
    const left = Math.min(FORWARD_MS, deadlineMs - HOP_MS);
    if (left <= 0) throw peerAway(destination, 'there is no time left to ask it');
    const call = { destination, method, request, proof: proof ?? NOTHING };
    try {
      return (await gateway.forward(call, { deadlineMs: left, signal })).response;
    } catch (error) {
      const isAway = error instanceof Failure && AWAY.has(error.reason);
      throw isAway && !signal.aborted ? peerAway(destination, error.message, error) : error;
    }
  };
}

const AWAY: ReadonlySet<Reason> = new Set<Reason>(['UNAVAILABLE', 'DRAINING']);

/** Whoever asked hears that it is the other homeserver that is away, and not its own. */
function peerAway(destination: Domain, why: string, cause?: Failure): Failure {
  const { retryAfterMs } = cause?.facts ?? {};
  const message = `${destination} cannot be reached now: ${why}`;
  return new Failure('PEER_UNAVAILABLE', message, { retryAfterMs, peer: destination }, cause);
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
