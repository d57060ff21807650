import type { CommonConfig } from './config.ts';
import { extension, type Json } from './typed.ts';

const MONITORS = 'envoy.extensions.resource_monitors';

/** What the edge gives up, and in which order, when memory gets short; and how many connections it takes. */
export function overloadOf({ heapMegabytes, connectionsMax }: CommonConfig): Json {
  return {
    refresh_interval: '0.25s',
    buffer_factory_config: { minimum_account_to_track_power_of_two: 20 },
    resource_monitors: [
      extension(HEAP, `${MONITORS}.fixed_heap.v3.FixedHeapConfig`, {
        max_heap_size_bytes: String(heapMegabytes * (1 << 20)),
      }),
      extension(
        'envoy.resource_monitors.global_downstream_max_connections',
        `${MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig`,
        { max_active_downstream_connections: String(connectionsMax) },
      ),
    ],
    actions: [
      { name: 'envoy.overload_actions.shrink_heap', triggers: [above(0.8)] },
      { name: 'envoy.overload_actions.disable_http_keepalive', triggers: [above(0.85)] },
      // The calls that hold most go first.
      {
        name: 'envoy.overload_actions.reset_high_memory_stream',
        triggers: [{ name: HEAP, scaled: { scaling_threshold: 0.88, saturation_threshold: 0.98 } }],
      },
      { name: 'envoy.overload_actions.stop_accepting_requests', triggers: [above(0.95)] },
      { name: 'envoy.overload_actions.stop_accepting_connections', triggers: [above(0.98)] },
    ],
  };
}

const HEAP = 'envoy.resource_monitors.fixed_heap';

function above(value: number): Json {
  return { name: HEAP, threshold: { value } };
}
