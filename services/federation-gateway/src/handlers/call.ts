import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import { assertGroup, assertNumber, type Envelope } from '@roost/federation/envelope';
import { decodeCall } from '@roost/federation/payload';
import { firstPair } from '@roost/bus/frames';
import type { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import type { Transport } from '@roost/rpc/call';
import { destinationOf, groupOf } from '@roost/rpc/destination';
import type { Handlers } from '@roost/rpc/service';
import type { Door } from '../door.ts';
import { federatedMethod, readRequest } from '../methods.ts';

export interface CallPorts {
  readonly home: Domain;
  readonly crypto: Crypto;
  readonly door: Door;
  /** To our own services, in the name of the gateway. */
  readonly services: ReadonlyMap<string, Transport>;
}

/** How long one of our services may take: the peer that asked waits a little longer. */
const CALL_MS = 15_000;

/** Lets another homeserver's user ask one of our services, as if by our edge. */
export function callHandler({
  home,
  crypto,
  door,
  services,
}: CallPorts): Handlers<typeof PeerServiceDefinition>['call'] {
  const answer = async (envelope: Envelope, payload: Uint8Array, signal: AbortSignal) => {
    const method = federatedMethod(envelope.method);
    const { path, rule, service } = method;
    const { request, proof } = decodeCall(payload);
    const decoded = readRequest(method, request);
    // The service says so too; here it is said before anything is asked of it.
    if (destinationOf(rule, decoded, home) !== home) {
      throw new Failure('FEDERATION_DENIED', `the request is not for ${home}`);
    }
    assertGroup(crypto, envelope, groupOf(rule, decoded));
    assertNumber(envelope, firstPair);
    const transport = services.get(service);
    if (transport === undefined) throw new Failure('METHOD_UNKNOWN', 'there is no such method');
    const response = await transport.unary({
      ...{ path, request, proof: proof.length === 0 ? undefined : proof, signal },
      ...{ authorization: undefined, deadlineMs: CALL_MS, source: envelope.source },
    });
    return { response };
  };
  return async ({ envelope: bytes, payload }, from) =>
    await door.admit([bytes, payload], { kind: 'call', cost: 1, from }, ({ envelope }) =>
      answer(envelope, payload, from.signal),
    );
}
