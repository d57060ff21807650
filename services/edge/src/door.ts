import { accessLog } from './access-log.ts';
import type { EdgeConfig } from './config.ts';
import { filtersOf } from './filters.ts';
import { localReplies } from './refusals.ts';
import { routesOf } from './routes.ts';
import { tracingOf } from './tracing.ts';
import { extension, type Json, seconds, socketAddress, typed } from './typed.ts';

/** The public door: TLS, then HTTP/2 or HTTP/1.1. */
export function doorOf(config: EdgeConfig): Json {
  return {
    name: 'door',
    address: socketAddress(config.listen),
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
            tlsOf(config),
          ),
        },
        filters: [
          extension('envoy.filters.network.http_connection_manager', MANAGER, managerOf(config)),
        ],
      },
    ],
  };
}

const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

function tlsOf({ door }: EdgeConfig) {
  return {
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: 'TLSv1_2',
        tls_maximum_protocol_version: 'TLSv1_3',
        // Of TLS 1.2 what RFC 9325 recommends.
        cipher_suites: [
          '[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]',
          '[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]',
          'ECDHE-ECDSA-AES256-GCM-SHA384',
          'ECDHE-RSA-AES256-GCM-SHA384',
        ],
      },
      alpn_protocols: ['h2', 'http/1.1'],
      tls_certificates: [
        { certificate_chain: { filename: door.cert }, private_key: { filename: door.key } },
      ],
    },
  };
}

function managerOf(config: EdgeConfig) {
  return {
    stat_prefix: 'edge',
    codec_type: 'AUTO',
    ...ADDRESSES,
    ...PATHS,
    ...LIMITS,
    // A request that dribbles in holds a call open, and its buffer.
    request_timeout: seconds(config.bodyMs),
    drain_timeout: seconds(Math.min(config.drain.callsMs, 5_000)),
    http2_protocol_options: {
      max_concurrent_streams: 100,
      initial_stream_window_size: 64 << 10,
      initial_connection_window_size: 1 << 20,
      connection_keepalive: { interval: '30s', timeout: '10s' },
      // A message that is none ends its call, and the connection goes on.
      override_stream_error_on_invalid_http_message: true,
    },
    http_protocol_options: { accept_http_10: false, allow_absolute_url: false },
    server_name: 'roost',
    generate_request_id: true,
    preserve_external_request_id: false,
    early_header_mutation_extensions: [strip()],
    http_filters: filtersOf(config),
    local_reply_config: localReplies(),
    route_config: routesOf(config),
    tracing: tracingOf(config),
    access_log: [accessLog],
  };
}

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
function strip(): Json {
  const exact = [
    'roost-token-class',
    'traceparent',
    'tracestate',
    'baggage',
    'b3',
    'forwarded',
    'via',
  ];
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
