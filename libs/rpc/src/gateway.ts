import type { Domain } from '@roost/core/ids';
import { FederationInternalServiceDefinition } from '@roost/proto/roost/federation/v1/gateway';

import { clientOf, connectPeer } from './client.ts';
import { type Forward, forwardBy, GATEWAY } from './destination.ts';
import { isServing } from './health.ts';
import type { MutualTls } from './peer.ts';

/** The way to other homeservers, from a service process. */
export interface GatewayConnection extends AsyncDisposable {
  readonly forward: Forward;
  isThere(): Promise<boolean>;
  /** Shows another certificate from now on. */
  renew(tls: MutualTls): void;
}

/** To the homeserver's own gateway; it connects when needed and again when lost. */
export function connectGateway(
  addresses: readonly string[],
  domain: Domain,
  tls: MutualTls,
): GatewayConnection {
  const channel = connectPeer(addresses, { domain, name: GATEWAY }, tls);
  return {
    forward: forwardBy(clientOf(FederationInternalServiceDefinition, channel)),
    isThere: async () => await isServing(channel),
    renew: (renewed) => channel.renew(renewed),
    [Symbol.asyncDispose]: async () => channel.close(),
  };
}
