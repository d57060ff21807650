import type { EdgeConfig } from './config.ts';
import { doorOf } from './door.ts';
import { overloadOf } from './overload.ts';
import { adminOf, probesOf } from './probes.ts';
import { collectorOf } from './tracing.ts';
import { type Json, socketAddress } from './typed.ts';
import { clustersOf } from './upstream.ts';

/** The whole configuration of Envoy, as it reads it (`envoy --config-path`). */
export function envoyOf(config: EdgeConfig): Json {
  return {
    node: { id: 'roost-edge', cluster: 'roost-edge' },
    admin: { address: socketAddress(config.adminListen) },
    overload_manager: overloadOf(config),
    static_resources: {
      listeners: [doorOf(config), probesOf(config)],
      clusters: [...clustersOf(config), adminOf(config), ...collectorOf(config)],
    },
  };
}
