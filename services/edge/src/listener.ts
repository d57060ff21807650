import type { ListenAddress } from '@roost/service/config';

import { accessLog } from './access-log.ts';
import type { CommonConfig } from './config.ts';
import { localReplies } from './refusals.ts';
import { tracingOf } from './tracing.ts';
import { extension, type Json, seconds, socketAddress, typed } from './typed.ts';

interface Listener {
  readonly name: string;
  readonly listen: ListenAddress;
  /** A DownstreamTlsContext. */
  readonly tls: { readonly [name: string]: Json };
  /** Network filters. */
  readonly filters: readonly Json[];
}

/** Where others come in, over TLS. */
export function listenerOf({ name, listen, tls, filters }: Listener): Json {
  return {
    name,
    address: socketAddress(listen),
    // What `drain_listeners?inboundonly` means.
    traffic_direction: 'INBOUND',
    per_connection_buffer_limit_bytes: 1 << 20,
    listener_filters: [
      extension(
        'envoy.filters.listener.tls_inspector',
        'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
      ),
    ],
    listener_filters_timeout: '10s',
    filter_chains: [
      {
        transport_socket_connect_timeout: '10s',
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: typed(
            'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            tls,
          ),
        },
        filters,
      },
    ],
  };
}

interface Manager {
  readonly statPrefix: string;
  readonly httpFilters: readonly Json[];
  readonly routes: Json;
  /** How much of a call, and of all of a connection, may be under way. */
  readonly windows: { readonly stream: number; readonly connection: number };
  /** Headers that nobody who comes in here has a say in. */
  readonly stripped: readonly string[];
  readonly more?: { readonly [name: string]: Json };
}

/** Takes HTTP/2 and HTTP/1.1 apart, with the same manners on every listener. */
export function managerOf(
  config: CommonConfig,
  { statPrefix, httpFilters, routes, windows, stripped, more = {} }: Manager,
): Json {
  return extension('envoy.filters.network.http_connection_manager', MANAGER, {
    stat_prefix: statPrefix,
    codec_type: 'AUTO',
    ...ADDRESSES,
    ...PATHS,
    ...LIMITS,
    // A request that dribbles in holds a call open, and its buffer.
    request_timeout: seconds(config.bodyMs),
    drain_timeout: seconds(Math.min(config.drain.callsMs, 5_000)),
    http2_protocol_options: {
      max_concurrent_streams: 100,
      initial_stream_window_size: windows.stream,
      initial_connection_window_size: windows.connection,
      connection_keepalive: { interval: '30s', timeout: '10s' },
      // A message that is none ends its call, and the connection goes on.
      override_stream_error_on_invalid_http_message: true,
    },
    http_protocol_options: { accept_http_10: false, allow_absolute_url: false },
    server_name: 'roost',
    generate_request_id: true,
    preserve_external_request_id: false,
    early_header_mutation_extensions: [strip(stripped)],
    http_filters: httpFilters,
    local_reply_config: localReplies(),
    route_config: routes,
    tracing: tracingOf(config),
    access_log: [accessLog],
    ...more,
  });
}

const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** The address of a client is that of its connection, for the limits alone; nobody behind is told. */
const ADDRESSES = {
  use_remote_address: true,
  skip_xff_append: true,
  // No address is trusted more than another, that of a load balancer within the cluster neither.
  internal_address_config: { cidr_ranges: [{ address_prefix: '255.255.255.255', prefix_len: 32 }] },
};

/** Paths stay as they came: a route has its exact name, and whatever differs from it is nowhere. */
const PATHS = {
  normalize_path: false,
  merge_slashes: false,
  path_with_escaped_slashes_action: 'KEEP_UNCHANGED',
};

const LIMITS = {
  max_request_headers_kb: 16,
  request_headers_timeout: '10s',
  stream_idle_timeout: '75s',
  common_http_protocol_options: {
    idle_timeout: '300s',
    max_headers_count: 64,
    // Many a program behind takes an underscore for a hyphen; ours have none to take.
    headers_with_underscores_action: 'REJECT_REQUEST',
  },
};

/**
 * What only we may say, removed before anything looks at it; and what proxies in front might have written, as nobody
 * here reads it.
 */
function strip(stripped: readonly string[]): Json {
  const exact = [...stripped, 'traceparent', 'tracestate', 'baggage', 'b3', 'forwarded', 'via'];
  const prefixes = ['x-', 'cf-', 'true-client-', 'fastly-'];
  return extension(
    'envoy.http.early_header_mutation.header_mutation',
    'envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation',
    {
      mutations: [
        ...exact.map((name) => ({ remove: name })),
        ...prefixes.map((prefix) => ({ remove_on_match: { key_matcher: { prefix } } })),
      ],
    },
  );
}
