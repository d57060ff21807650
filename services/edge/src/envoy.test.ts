import { expect, test } from '@jest/globals';
import { CLIENT_METHODS, PEER_PATHS } from '@roost/rpc/client-methods';

import { readConfig, readGuardConfig, readPeersConfig } from './config.ts';
import { envoyOf, peersEnvoyOf } from './envoy.ts';
import { HELP } from './help.ts';

const environment = {
  ROOST_DOMAIN: 'home.example',
  ROOST_LISTEN: '0.0.0.0:8443',
  ROOST_HEALTH_LISTEN: '0.0.0.0:9464',
  ...{ ROOST_DOOR_CERT: 'door.crt', ROOST_DOOR_KEY: 'door.key', ROOST_TLS_CA: 'ca.crt' },
  ...{ ROOST_TLS_CERT: 'edge.crt', ROOST_TLS_KEY: 'edge.key' },
  ...{ ROOST_GATE_CERT: 'gate.crt', ROOST_GATE_KEY: 'gate.key' },
  ...{ ROOST_AS_ADDRESS: 'as:1', ROOST_AAS_ADDRESS: 'aas:1', ROOST_QS_ADDRESS: '192.0.2.1:1' },
  ROOST_DS_ADDRESS: 'ds:1',
};

/** Looks into JSON by a path: names, and numbers of lists. */
function at(value: unknown, path: string): unknown {
  return path
    .split('/')
    .reduce<unknown>((inside, name) => Reflect.get(Object(inside) as object, name), value);
}

function printed(more: Record<string, string> = {}): unknown {
  return JSON.parse(JSON.stringify(envoyOf(readConfig({ ...environment, ...more }))));
}

const MANAGER = 'static_resources/listeners/0/filter_chains/0/filters/0/typed_config';
const ROUTES = `${MANAGER}/route_config/virtual_hosts/0/routes`;

interface Route {
  readonly name: string;
  readonly match: { readonly path?: string; readonly prefix?: string };
  readonly route?: Readonly<Record<string, unknown>> & {
    readonly rate_limits?: { stage: number }[];
  };
  readonly typed_per_filter_config?: Readonly<Record<string, { readonly disabled: boolean }>>;
}

function routes(): Route[] {
  return at(printed(), ROUTES) as Route[];
}

test('there is one route for each method that clients reach, and for nothing else', () => {
  const exact = routes().flatMap(({ match }) => match.path ?? []);
  expect(exact.toSorted()).toEqual(
    [...CLIENT_METHODS.keys(), '/grpc.health.v1.Health/Check'].toSorted(),
  );
  const others = routes().filter(({ match }) => match.path === undefined);
  expect(others.map(({ name }) => name)).toEqual(['preflight', 'unknown']);
  expect(routes().at(-1)?.name).toBe('unknown');
});

test.each([...CLIENT_METHODS.values()])(
  '$path is gated or limited, and goes where it belongs',
  (method) => {
    const found = routes().find(({ match }) => match.path === method.path);
    const isUngated = found?.typed_per_filter_config?.['envoy.filters.http.ext_authz']?.disabled;
    expect(isUngated ?? false).toBe(method.cost === 'exempt');
    const stages = found?.route?.rate_limits?.map(({ stage }) => stage);
    expect(stages).toEqual(method.cost === 'exempt' ? [method.passesUncounted ? 0 : 1] : undefined);
    expect(found?.route).toMatchObject({
      cluster: method.service,
      timeout: method.isStream ? '0s' : '35s',
      idle_timeout: '75s',
      retry_policy: { retry_on: 'connect-failure,refused-stream,reset-before-request' },
    });
  },
);

test('a call passes the filters in their order', () => {
  const filters = at(printed(), `${MANAGER}/http_filters`) as { name: string }[];
  expect(filters.map(({ name }) => name.replace('envoy.filters.http.', ''))).toEqual([
    ...['cors', 'grpc_web', 'local_ratelimit', 'ratelimit.passing', 'ratelimit.refusing'],
    ...['ext_authz', 'router'],
  ]);
  expect(at(filters, '5/typed_config')).toMatchObject({
    failure_mode_allow: false,
    allowed_headers: { patterns: [{ exact: 'authorization' }] },
    grpc_service: { envoy_grpc: { cluster_name: 'gate' } },
  });
});

test('the edge shows who it is, and asks each service who it is', () => {
  const clusters = at(printed(), 'static_resources/clusters') as { name: string }[];
  const tls = 'transport_socket/typed_config/common_tls_context';
  const seen = clusters.map((cluster) => [
    cluster.name,
    at(cluster, `${tls}/tls_certificates/0/certificate_chain/filename`),
    at(cluster, `${tls}/validation_context/match_typed_subject_alt_names/0/matcher/exact`),
  ]);
  expect(seen).toEqual([
    ['as', 'edge.crt', 'spiffe://home.example/as'],
    ['aas', 'edge.crt', 'spiffe://home.example/aas'],
    ['qs', 'edge.crt', 'spiffe://home.example/qs'],
    ['ds', 'edge.crt', 'spiffe://home.example/ds'],
    ['gate', 'gate.crt', 'spiffe://home.example/aas'],
    ['admin', undefined, undefined],
  ]);
});

const federation = {
  ROOST_FEDERATION_LISTEN: '0.0.0.0:8448',
  ...{ ROOST_FEDERATION_CERT: 'home.crt', ROOST_FEDERATION_KEY: 'home.key' },
  ...{ ROOST_PEER_CERT: 'peer.crt', ROOST_PEER_KEY: 'peer.key' },
  ...{ ROOST_GATEWAY_ADDRESS: 'gateway:1', ROOST_DIRECTORY_ADDRESS: 'gateway:2' },
};

function names(value: unknown, path: string): unknown[] {
  return (at(value, path) as { name: string }[]).map(({ name }) => name);
}

test('other homeservers have a listener of their own, beside that of clients or alone', () => {
  const { ROOST_DOMAIN, ROOST_HEALTH_LISTEN, ROOST_TLS_CA } = environment;
  const alone = JSON.parse(
    JSON.stringify(
      peersEnvoyOf(
        readPeersConfig({ ROOST_DOMAIN, ROOST_HEALTH_LISTEN, ROOST_TLS_CA, ...federation }),
      ),
    ),
  ) as unknown;
  const beside = printed(federation);
  expect(names(alone, 'static_resources/listeners')).toEqual(['peers', 'probes']);
  expect(names(beside, 'static_resources/listeners')).toEqual(['door', 'peers', 'probes']);
  expect(names(alone, 'static_resources/clusters')).toEqual(['gateway', 'directory', 'admin']);
  expect(at(alone, 'static_resources/listeners/0')).toEqual(
    at(beside, 'static_resources/listeners/1'),
  );
  const chain = at(alone, 'static_resources/listeners/0/filter_chains/0');
  const found = at(chain, 'filters/1/typed_config/route_config/virtual_hosts/0/routes');
  const paths = (found as Route[]).map(({ match }) => match.path);
  const page = '/.well-known/roost-federation';
  expect(paths).toEqual([...PEER_PATHS, page, page, undefined]);
  expect(at(chain, 'transport_socket/typed_config/common_tls_context')).toMatchObject({
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3' },
    tls_certificates: [{ certificate_chain: { filename: 'home.crt' } }],
    validation_context: { trust_chain_verification: 'ACCEPT_UNTRUSTED' },
  });
  const gateway = 'static_resources/clusters/0/transport_socket/typed_config/common_tls_context';
  expect(at(alone, gateway)).toMatchObject({
    tls_certificates: [{ certificate_chain: { filename: 'peer.crt' } }],
    validation_context: {
      match_typed_subject_alt_names: [
        { matcher: { exact: 'spiffe://home.example/federation-gateway' } },
      ],
    },
  });
});

test('peers are asked for certificates but where that is off', () => {
  const asked =
    'static_resources/listeners/1/filter_chains/0/transport_socket/typed_config/common_tls_context/validation_context';
  for (const mode of ['preferred', 'required']) {
    expect(at(printed({ ...federation, ROOST_FEDERATION_MTLS: mode }), asked)).toBeDefined();
  }
  expect(at(printed({ ...federation, ROOST_FEDERATION_MTLS: 'off' }), asked)).toBeUndefined();
});

test('whoever guards an Envoy looks at the files that it was told of', () => {
  const { ROOST_TLS_CA } = environment;
  expect(readGuardConfig(environment).certificates).toHaveLength(7);
  expect(readGuardConfig({ ROOST_TLS_CA, ...federation }).certificates).toEqual([
    ...['ca.crt', 'home.crt', 'home.key', 'peer.crt', 'peer.key'],
  ]);
});

test('there are traces only where there is a collector', () => {
  expect(at(printed(), `${MANAGER}/tracing`)).toBeUndefined();
  const traced = printed({
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_TRACES_SAMPLER_ARG: '0.25' },
  });
  expect(at(traced, `${MANAGER}/tracing`)).toMatchObject({ random_sampling: { value: 25 } });
  expect(at(traced, 'static_resources/clusters/6/name')).toBe('collector');
});

test('the help names every variable', () => {
  const known = [...Object.keys({ ...environment, ...federation }), 'ROOST_FEDERATION_MTLS'].concat(
    ...['ROOST_ADMIN_LISTEN', 'ROOST_ALLOWED_ORIGINS'],
  );
  for (const name of known) expect(HELP).toContain(name);
});
