import { isIP } from 'node:net';
import type { ListenAddress } from '@roost/service/config';

import type { CommonConfig, EdgeConfig, KeyFiles, ServiceName } from './config.ts';
import { type Json, socketAddress, typed } from './typed.ts';

/** The services, as the edge calls them for clients; and the AAS once more, as the gate asks it. */
export function clustersOf(config: EdgeConfig): Json[] {
  const { services, edge, gate } = config;
  return [
    clusterOf(config, { name: 'as', service: 'as', as: edge, addresses: services.as }),
    clusterOf(config, { name: 'aas', service: 'aas', as: edge, addresses: services.aas }),
    clusterOf(config, { name: 'qs', service: 'qs', as: edge, addresses: services.qs }),
    clusterOf(config, { name: 'ds', service: 'ds', as: edge, addresses: services.ds }),
    clusterOf(config, { name: 'gate', service: 'aas', as: gate, addresses: services.aas }),
  ];
}

interface Upstream {
  readonly name: string;
  readonly service: ServiceName | 'federation-gateway';
  /** Who we are to it. */
  readonly as: KeyFiles;
  readonly addresses: readonly ListenAddress[];
}

export function clusterOf(config: CommonConfig, { name, service, as, addresses }: Upstream): Json {
  return {
    name,
    ...discovery(addresses),
    connect_timeout: '1s',
    per_connection_buffer_limit_bytes: 1 << 20,
    load_assignment: endpoints(name, addresses),
    lb_policy: 'LEAST_REQUEST',
    // With no replica that looks healthy all are tried: each then says for itself what is wrong.
    common_lb_config: { healthy_panic_threshold: { value: 1 } },
    typed_extension_protocol_options: HTTP2,
    transport_socket: mutualTls(config, service, as),
    health_checks: [HEALTH_CHECK],
    circuit_breakers: { thresholds: [{ ...ROOM, retry_budget: RETRY_BUDGET }] },
    outlier_detection: OUTLIERS,
  };
}

/** What the gateway tells without TLS, to us alone. */
export function directoryOf({ directory }: CommonConfig): Json[] {
  if (directory === undefined) return [];
  return [
    {
      name: 'directory',
      ...discovery(directory),
      connect_timeout: '1s',
      load_assignment: endpoints('directory', directory),
      lb_policy: 'ROUND_ROBIN',
    },
  ];
}

/** Names are asked for over and over, and each may have many addresses; literals need no asking. */
export function discovery(addresses: readonly ListenAddress[]) {
  if (addresses.every(({ host }) => isIP(host) !== 0)) return { type: 'STATIC' };
  return {
    cluster_type: {
      name: 'envoy.clusters.dns',
      typed_config: typed('envoy.extensions.clusters.dns.v3.DnsCluster', {
        dns_lookup_family: 'ALL',
        dns_refresh_rate: '5s',
        dns_failure_refresh_rate: { base_interval: '0.5s', max_interval: '5s' },
        all_addresses_in_single_endpoint: false,
      }),
    },
  };
}

export function endpoints(name: string, addresses: readonly ListenAddress[]) {
  const lbEndpoints = addresses.map((each) => ({ endpoint: { address: socketAddress(each) } }));
  return { cluster_name: name, endpoints: [{ lb_endpoints: lbEndpoints }] };
}

/** We show who we are, and ask who they are: the service by its name, not the host. */
function mutualTls(
  { domain, ca }: CommonConfig,
  service: Upstream['service'],
  { cert, key }: KeyFiles,
): Json {
  const identity = { san_type: 'URI', matcher: { exact: `spiffe://${domain}/${service}` } };
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
      common_tls_context: {
        tls_params: {
          tls_minimum_protocol_version: 'TLSv1_3',
          tls_maximum_protocol_version: 'TLSv1_3',
        },
        alpn_protocols: ['h2'],
        tls_certificates: [
          { certificate_chain: { filename: cert }, private_key: { filename: key } },
        ],
        validation_context: {
          trusted_ca: { filename: ca },
          match_typed_subject_alt_names: [identity],
        },
      },
    }),
  };
}

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    {
      explicit_http_config: {
        http2_protocol_options: {
          initial_stream_window_size: 256 << 10,
          initial_connection_window_size: 4 << 20,
          connection_keepalive: { interval: '30s', timeout: '10s' },
        },
      },
      // So that replicas that came later get their share.
      common_http_protocol_options: { max_connection_duration: '600s' },
    },
  ),
};

/** A replica that is told to go says so here first: twice, and it is left alone. */
const HEALTH_CHECK = {
  timeout: '1s',
  interval: '1s',
  no_traffic_interval: '1s',
  unhealthy_threshold: 2,
  healthy_threshold: 1,
  reuse_connection: true,
  grpc_health_check: {},
};

/** Every open stream counts as a request, so the room is for all listeners of a homeserver. */
const ROOM = {
  max_connections: 4_096,
  max_pending_requests: 16_384,
  max_requests: 200_000,
};

const RETRY_BUDGET = { budget_percent: { value: 25 }, min_retry_concurrency: 16 };

/**
 * Replicas that cannot be reached, or say over and over that something they stand on is away. Errors of single calls
 * are no reason: whoever finds a bug must not be able to switch replicas off.
 */
const OUTLIERS = {
  split_external_local_origin_errors: true,
  consecutive_local_origin_failure: 5,
  consecutive_gateway_failure: 10,
  enforcing_consecutive_gateway_failure: 100,
  enforcing_consecutive_5xx: 0,
  enforcing_success_rate: 0,
  enforcing_local_origin_success_rate: 0,
  interval: '5s',
  base_ejection_time: '10s',
  max_ejection_time: '60s',
  max_ejection_percent: 34,
  always_eject_one_host: true,
};
