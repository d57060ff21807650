import type { CommonConfig } from './config.ts';
import { discovery, endpoints } from './upstream.ts';
import { type Json, typed } from './typed.ts';

const CLUSTER = 'collector';

/** Spans of the edge, where there is a collector to send them to. */
export function tracingOf({ tracing }: CommonConfig): Json {
  if (tracing === undefined) return undefined;
  const uri = new URL('v1/traces', withSlash(tracing.endpoint));
  return {
    random_sampling: { value: tracing.percent },
    spawn_upstream_span: true,
    max_path_tag_length: 1,
    custom_tags: UNTOLD.map((tag) => ({ tag, literal: { value: '-' } })),
    provider: {
      name: 'envoy.tracers.opentelemetry',
      typed_config: typed('envoy.config.trace.v3.OpenTelemetryConfig', {
        service_name: 'roost-edge',
        http_service: { http_uri: { uri: String(uri), cluster: CLUSTER, timeout: '1s' } },
      }),
    },
  };
}

/** What Envoy would tell of a client and its call; a tag of ours with the same name takes its place. */
const UNTOLD = [
  'guid:x-request-id',
  'http.url',
  'user_agent',
  'peer.address',
  'guid:x-client-trace-id',
  'request_size',
  'response_size',
  'grpc.message',
  'grpc.authority',
  'downstream_cluster',
];

export function collectorOf({ tracing }: CommonConfig): Json[] {
  if (tracing === undefined) return [];
  const { hostname, port } = tracing.endpoint;
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) };
  return [
    {
      name: CLUSTER,
      ...discovery([address]),
      connect_timeout: '1s',
      load_assignment: endpoints(CLUSTER, [address]),
    },
  ];
}

function withSlash(url: URL): URL {
  return url.pathname.endsWith('/') ? url : new URL(`${url.href}/`);
}
