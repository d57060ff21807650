import type { CommonConfig } from './config.ts';
import { endpoints } from './upstream.ts';
import { extension, type Json, socketAddress } from './typed.ts';

const FILTERS = 'envoy.extensions.filters.http';
const ADMIN = 'admin';

/**
 * For Kubernetes and Prometheus, without TLS: /livez, /readyz (503 from the beginning of a drain on) and /metrics.
 * Whether services are there does not count: an edge that says so by itself is better than none.
 */
export function probesOf({ healthListen }: CommonConfig): Json {
  return {
    name: 'probes',
    address: socketAddress(healthListen),
    filter_chains: [
      {
        filters: [
          extension(
            'envoy.filters.network.http_connection_manager',
            'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
            {
              stat_prefix: 'probes',
              codec_type: 'HTTP1',
              server_name: 'roost',
              http_filters: [
                extension(
                  'envoy.filters.http.health_check',
                  `${FILTERS}.health_check.v3.HealthCheck`,
                  {
                    pass_through_mode: false,
                    headers: [{ name: ':path', string_match: { exact: '/readyz' } }],
                  },
                ),
                extension('envoy.filters.http.router', `${FILTERS}.router.v3.Router`),
              ],
              route_config: { name: 'probes', virtual_hosts: [VIRTUAL_HOST] },
            },
          ),
        ],
      },
    ],
  };
}

const VIRTUAL_HOST = {
  name: 'probes',
  domains: ['*'],
  routes: [
    { match: { path: '/livez' }, direct_response: { status: 200 } },
    {
      match: { path: '/metrics' },
      route: { cluster: ADMIN, prefix_rewrite: '/stats/prometheus' },
    },
  ],
};

/** The only way to the admin port, and only to what reads. */
export function adminOf({ adminListen }: CommonConfig): Json {
  return {
    name: ADMIN,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: endpoints(ADMIN, [adminListen]),
  };
}
