import { TOKEN_CLASS_HEADER } from '@roost/rpc/access';
import { PEER_PATHS } from '@roost/rpc/client-methods';

import type { CommonConfig, PeersConfig, PeersEdgeConfig } from './config.ts';
import { limitHere } from './filters.ts';
import { listenerOf, managerOf } from './listener.ts';
import { call, COUNTED, directoryRoutes, NOT_FOR_SERVICES, nowhere, RETRIES } from './routes.ts';
import { extension, type Json, seconds } from './typed.ts';
import { clusterOf } from './upstream.ts';

/**
 * The door for other homeservers: TLS 1.3, the certificate of the home domain, and nothing behind but what they may
 * call and the directory. Who they are is in what they sign; the gateway judges that, and the certificates they show.
 */
export function peersDoorOf(config: PeersEdgeConfig): Json {
  const { peers } = config;
  return listenerOf({
    ...{ name: 'peers', listen: peers.listen, tls: tlsOf(peers) },
    filters: [
      // They may not have the connections that clients need.
      extension(
        'envoy.filters.network.connection_limit',
        'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit',
        { stat_prefix: 'peers', max_connections: peers.connectionsMax },
      ),
      managerOf(config, {
        statPrefix: 'peers',
        httpFilters: [limitHere(peers.addressCalls), ROUTER],
        routes: routesOf(config),
        // Deliveries of 4 MiB come from the other side of the world.
        windows: { stream: 512 << 10, connection: 2 << 20 },
        // What a peer says of itself goes on: whose call it is has to be known before its body is read.
        stripped: [TOKEN_CLASS_HEADER],
        more: FORWARDED_CERTIFICATE,
      }),
    ],
  });
}

/** The gateway, called as whoever brings what peers say. */
export function gatewayOf(config: PeersEdgeConfig): Json {
  const { identity, gateway } = config.peers;
  return clusterOf(config, {
    ...{ name: 'gateway', service: 'federation-gateway', as: identity, addresses: gateway },
  });
}

const ROUTER = extension(
  'envoy.filters.http.router',
  'envoy.extensions.filters.http.router.v3.Router',
  { suppress_envoy_headers: true },
);

/** Whatever claims to be one is replaced by the certificate of the connection, if it has any. */
const FORWARDED_CERTIFICATE = {
  forward_client_cert_details: 'SANITIZE_SET',
  set_current_client_cert_details: { cert: true },
};

function tlsOf({ door, asksForCertificate }: PeersConfig) {
  // Public authorities sign none for clients: the gateway knows by the directory which key is whose.
  const asked = {
    validation_context: { trust_chain_verification: 'ACCEPT_UNTRUSTED' },
  };
  return {
    require_client_certificate: false,
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: 'TLSv1_3',
        tls_maximum_protocol_version: 'TLSv1_3',
      },
      alpn_protocols: ['h2', 'http/1.1'],
      tls_certificates: [
        { certificate_chain: { filename: door.cert }, private_key: { filename: door.key } },
      ],
      ...(asksForCertificate ? asked : {}),
    },
  };
}

function routesOf(config: CommonConfig): Json {
  return {
    name: 'peers',
    virtual_hosts: [
      {
        name: 'everything',
        domains: ['*'],
        request_headers_to_remove: NOT_FOR_SERVICES,
        routes: [...PEER_PATHS.map(routeOf), ...directoryRoutes(config), nowhere()],
      },
    ],
  };
}

/** A peer gives a call 20 s, and the gateway says itself when that is over. */
const CALL_MS = 25_000;

function routeOf(path: string): Json {
  return {
    name: path,
    match: call(path),
    route: { cluster: 'gateway', timeout: seconds(CALL_MS), retry_policy: RETRIES },
    metadata: COUNTED,
  };
}
