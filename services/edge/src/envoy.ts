import type { CommonConfig, EdgeConfig, PeersEdgeConfig } from './config.ts';
import { doorOf } from './door.ts';
import { overloadOf } from './overload.ts';
import { gatewayOf, peersDoorOf } from './peers.ts';
import { adminOf, probesOf } from './probes.ts';
import { collectorOf } from './tracing.ts';
import { type Json, socketAddress } from './typed.ts';
import { clustersOf, directoryOf } from './upstream.ts';

/** The whole configuration of Envoy, as it reads it (`envoy --config-path`). */
export function envoyOf(config: EdgeConfig): Json {
  const { peers } = config;
  return wholeOf(config, {
    listeners: [
      doorOf(config),
      ...(peers === undefined ? [] : [peersDoorOf({ ...config, peers })]),
    ],
    clusters: [
      ...clustersOf(config),
      ...(peers === undefined ? [] : [gatewayOf({ ...config, peers })]),
    ],
  });
}

/** The same of an Envoy that lets other homeservers in, and no clients. */
export function peersEnvoyOf(config: PeersEdgeConfig): Json {
  return wholeOf(config, { listeners: [peersDoorOf(config)], clusters: [gatewayOf(config)] });
}

function wholeOf(
  config: CommonConfig,
  { listeners, clusters }: { readonly listeners: Json[]; readonly clusters: Json[] },
): Json {
  return {
    node: { id: 'roost-edge', cluster: 'roost-edge' },
    admin: { address: socketAddress(config.adminListen) },
    overload_manager: overloadOf(config),
    static_resources: {
      listeners: [...listeners, probesOf(config)],
      clusters: [...clusters, ...directoryOf(config), adminOf(config), ...collectorOf(config)],
    },
  };
}
