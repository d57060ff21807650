import { Failure, malformed } from '@roost/core/failure';
import { PROOF_BYTES_MAX } from '@roost/federation/payload';
import { parsePeerDomain } from '@roost/federation/peer-domain';
import type {
  FederationInternalServiceDefinition,
  ForwardRequest,
  ForwardResponse,
} from '@roost/proto/roost/federation/v1/gateway';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { clientOf } from '@roost/rpc/call';
import type { Handlers } from '@roost/rpc/service';
import type { Channels } from '../channels.ts';
import type { FederationEvents } from '../events.ts';
import { asHeardHere } from '../passing.ts';
import type { Peers } from '../peers.ts';
import type { Policy } from '../policy.ts';
import { type CallSigner, signCall } from '../signing.ts';

export interface ForwardPorts extends CallSigner {
  readonly policy: Pick<Policy, 'admit'>;
  readonly peers: Pick<Peers, 'find'>;
  readonly channels: Pick<Channels, 'to' | 'drop'>;
  readonly events: Pick<FederationEvents, 'forwarded'>;
}

/** How long another homeserver may take. */
const PEER_MS = 18_000;

/** Carries a request of one of our users to the homeserver that it is for. */
export function forwardHandlers(
  ports: ForwardPorts,
): Handlers<typeof FederationInternalServiceDefinition> {
  return {
    async forward(request, { signal }) {
      try {
        const answered = await forward(ports, request, signal);
        ports.events.forwarded();
        return answered;
      } catch (error) {
        ports.events.forwarded(error);
        throw error;
      }
    },
  };
}

async function forward(
  ports: ForwardPorts,
  { destination: text, method, request, proof }: ForwardRequest,
  signal: AbortSignal,
): Promise<ForwardResponse> {
  const destination = parsePeerDomain(text, 'destination');
  if (proof.length > PROOF_BYTES_MAX) throw malformed('proof', 'is longer than 1,024 bytes');
  const signed = signCall(ports, { destination, method, request, proof });
  const listing = await ports.policy.admit(destination);
  const peer = await ports.peers.find(destination);
  const channel = await ports.channels.to(peer, listing?.endpoint);
  try {
    const { call } = clientOf(PeerServiceDefinition, channel);
    return await call(signed, { deadlineMs: PEER_MS, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof Failure && error.reason === 'UNAVAILABLE') {
      ports.channels.drop(destination);
    }
    throw asHeardHere(destination, error);
  }
}
