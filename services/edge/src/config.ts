import type { Domain } from '@roost/core/ids';
import { EXEMPT_BUCKET } from '@roost/rpc/address-limit';
import {
  type Environment,
  homeDomain,
  integer,
  type ListenAddress,
  listenAddress,
  oneOf,
  parseListenAddress,
  readEnvironment,
  variable,
} from '@roost/service/config';
import { z } from 'zod';

/** A certificate and its key, as Envoy finds them. */
export interface KeyFiles {
  readonly cert: string;
  readonly key: string;
}

export type ServiceName = 'as' | 'aas' | 'qs' | 'ds';

/** What every Envoy of ours is told, whoever comes in. */
export interface CommonConfig {
  readonly domain: Domain;
  readonly healthListen: ListenAddress;
  readonly adminListen: ListenAddress;
  /** Who signs the services' certificates, and ours. */
  readonly ca: string;
  readonly connectionsMax: number;
  readonly heapMegabytes: number;
  /** How long a request may take to come in. */
  readonly bodyMs: number;
  /** How long an edge that is told to go waits for others to take note, and for calls to end. */
  readonly drain: { readonly noticeMs: number; readonly callsMs: number };
  readonly tracing: { readonly endpoint: URL; readonly percent: number } | undefined;
  /** Where the gateway tells its directory, plain; `undefined` where this edge does not. */
  readonly directory: readonly ListenAddress[] | undefined;
}

export interface EdgeConfig extends CommonConfig {
  /** Where clients come in. */
  readonly listen: ListenAddress;
  /** What clients see; signed by whom they believe. */
  readonly door: KeyFiles;
  /** Who the edge is to the services. */
  readonly edge: KeyFiles;
  /** Who it is to the AAS, where it asks what a call may do. */
  readonly gate: KeyFiles;
  readonly services: Readonly<Record<ServiceName, readonly ListenAddress[]>>;
  /** `undefined` where pages of any origin may call: no cookies are used. */
  readonly allowedOrigins: readonly string[] | undefined;
  /** What one address may ask one edge for without a token. */
  readonly addressCalls: AddressCalls;
  /** Where other homeservers come in too; `undefined` where they do not. */
  readonly peers: PeersConfig | undefined;
}

export interface AddressCalls {
  readonly capacity: number;
  readonly perSecond: number;
}

/** The listener for other homeservers. */
export interface PeersConfig {
  readonly listen: ListenAddress;
  /** Of the home domain. */
  readonly door: KeyFiles;
  /** Whether they are asked for certificates; the gateway judges those. */
  readonly asksForCertificate: boolean;
  /** Who its calls come from, for the gateway. */
  readonly identity: KeyFiles;
  readonly gateway: readonly ListenAddress[];
  readonly connectionsMax: number;
  readonly addressCalls: AddressCalls;
}

/** An Envoy for other homeservers alone. */
export interface PeersEdgeConfig extends CommonConfig {
  readonly peers: PeersConfig;
}

const path = z.string({ error: 'the path of a PEM file, as Envoy will find it' });
const addresses = variable(
  'host:port of each replica, separated by commas, or of a name that has them all',
  (text) => {
    const all = text.split(',').map((each) => parseListenAddress(each.trim()));
    return all.every((each) => each !== undefined && each.port > 0)
      ? all.filter(isThere)
      : undefined;
  },
);
const loopback = variable(
  'a port of the loopback, such as 127.0.0.1:9901: whoever reaches it rules the edge',
  (text) => {
    const address = parseListenAddress(text);
    return address !== undefined && /^(127\.[0-9.]+|::1)$/.test(address.host) ? address : undefined;
  },
);
const origins = variable('origins such as https://app.example.org, separated by commas', (text) => {
  const all = text.split(',').map((each) => each.trim());
  return all.every((each) => URL.canParse(each) && new URL(each).origin === each) ? all : undefined;
});
const endpoint = variable('the URL of an OTLP collector, such as http://collector:4318', (text) => {
  const url = URL.parse(text);
  return url?.protocol === 'http:' && url.hostname !== '' ? url : undefined;
});
const fraction = variable('a number from 0 to 1', (text) => {
  const value = Number(text);
  return value >= 0 && value <= 1 ? value : undefined;
});

const commonSchema = z.object({
  ROOST_DOMAIN: homeDomain,
  ROOST_HEALTH_LISTEN: listenAddress,
  ROOST_ADMIN_LISTEN: loopback.prefault('127.0.0.1:9901'),
  ROOST_TLS_CA: path,
  ROOST_DIRECTORY_ADDRESS: addresses.optional(),
  ROOST_CONNECTIONS_MAX: integer(1, 1_000_000).prefault('50000'),
  ROOST_HEAP_MEGABYTES: integer(64, 1_000_000).prefault('1024'),
  ROOST_BODY_MS: integer(100, 600_000).prefault('60000'),
  ROOST_DRAIN_NOTICE_MS: integer(0, 600_000).prefault('5000'),
  ROOST_DRAIN_MS: integer(0, 3_600_000).prefault('20000'),
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint.optional(),
  OTEL_TRACES_SAMPLER_ARG: fraction.prefault('1'),
});

const peersSchema = z.object({
  ROOST_FEDERATION_LISTEN: listenAddress,
  ROOST_FEDERATION_CERT: path,
  ROOST_FEDERATION_KEY: path,
  ROOST_FEDERATION_MTLS: oneOf('off', 'preferred', 'required').default('preferred'),
  ROOST_PEER_CERT: path,
  ROOST_PEER_KEY: path,
  ROOST_GATEWAY_ADDRESS: addresses,
  ROOST_PEER_CONNECTIONS_MAX: integer(1, 1_000_000).prefault('5000'),
  // A homeserver has many users, and calls from few addresses: the gateway counts who it is.
  ROOST_PEER_CALLS: integer(1, 1_000_000).prefault('2000'),
  ROOST_PEER_CALLS_PER_SECOND: integer(1, 1_000_000).prefault('1000'),
});

const clientsSchema = z.object({
  ROOST_LISTEN: listenAddress,
  ROOST_DOOR_CERT: path,
  ROOST_DOOR_KEY: path,
  ROOST_TLS_CERT: path,
  ROOST_TLS_KEY: path,
  ROOST_GATE_CERT: path,
  ROOST_GATE_KEY: path,
  ROOST_AS_ADDRESS: addresses,
  ROOST_AAS_ADDRESS: addresses,
  ROOST_QS_ADDRESS: addresses,
  ROOST_DS_ADDRESS: addresses,
  ROOST_ALLOWED_ORIGINS: origins.optional(),
  // Twice what all edges together allow: each stops a flood by itself, before it asks the AAS.
  ROOST_ADDRESS_CALLS: integer(1, 1_000_000).prefault(String(2 * EXEMPT_BUCKET.capacity)),
  ROOST_ADDRESS_CALLS_PER_SECOND: integer(1, 1_000_000).prefault(
    String(2 * EXEMPT_BUCKET.refillPerSecond),
  ),
});

const schema = z.object({ ...commonSchema.shape, ...clientsSchema.shape });

/** The environment, checked; throws a sentence for each variable that is wrong. */
export function readConfig(environment: Environment = process.env): EdgeConfig {
  const read = readEnvironment(schema, environment);
  return {
    ...commonOf(read),
    listen: read.ROOST_LISTEN,
    door: { cert: read.ROOST_DOOR_CERT, key: read.ROOST_DOOR_KEY },
    edge: { cert: read.ROOST_TLS_CERT, key: read.ROOST_TLS_KEY },
    gate: { cert: read.ROOST_GATE_CERT, key: read.ROOST_GATE_KEY },
    services: {
      as: read.ROOST_AS_ADDRESS,
      aas: read.ROOST_AAS_ADDRESS,
      qs: read.ROOST_QS_ADDRESS,
      ds: read.ROOST_DS_ADDRESS,
    },
    allowedOrigins: read.ROOST_ALLOWED_ORIGINS,
    addressCalls: {
      capacity: read.ROOST_ADDRESS_CALLS,
      perSecond: read.ROOST_ADDRESS_CALLS_PER_SECOND,
    },
    peers: environment['ROOST_FEDERATION_LISTEN']
      ? peersOf(readEnvironment(peersSchema, environment))
      : undefined,
  };
}

/** The same, for an Envoy that lets other homeservers in and no clients. */
export function readPeersConfig(environment: Environment = process.env): PeersEdgeConfig {
  const whole = z.object({ ...commonSchema.shape, ...peersSchema.shape });
  const read = readEnvironment(whole, environment);
  return { ...commonOf(read), peers: peersOf(read) };
}

function commonOf(read: z.output<typeof commonSchema>): CommonConfig {
  return {
    domain: read.ROOST_DOMAIN,
    healthListen: read.ROOST_HEALTH_LISTEN,
    adminListen: read.ROOST_ADMIN_LISTEN,
    ca: read.ROOST_TLS_CA,
    connectionsMax: read.ROOST_CONNECTIONS_MAX,
    heapMegabytes: read.ROOST_HEAP_MEGABYTES,
    bodyMs: read.ROOST_BODY_MS,
    drain: { noticeMs: read.ROOST_DRAIN_NOTICE_MS, callsMs: read.ROOST_DRAIN_MS },
    tracing: read.OTEL_EXPORTER_OTLP_ENDPOINT && {
      endpoint: read.OTEL_EXPORTER_OTLP_ENDPOINT,
      percent: read.OTEL_TRACES_SAMPLER_ARG * 100,
    },
    directory: read.ROOST_DIRECTORY_ADDRESS,
  };
}

function peersOf(read: z.output<typeof peersSchema>): PeersConfig {
  return {
    listen: read.ROOST_FEDERATION_LISTEN,
    door: { cert: read.ROOST_FEDERATION_CERT, key: read.ROOST_FEDERATION_KEY },
    asksForCertificate: read.ROOST_FEDERATION_MTLS !== 'off',
    identity: { cert: read.ROOST_PEER_CERT, key: read.ROOST_PEER_KEY },
    gateway: read.ROOST_GATEWAY_ADDRESS,
    connectionsMax: read.ROOST_PEER_CONNECTIONS_MAX,
    addressCalls: {
      capacity: read.ROOST_PEER_CALLS,
      perSecond: read.ROOST_PEER_CALLS_PER_SECOND,
    },
  };
}

/** Where the admin port of the Envoy beside us is, and how long to wait: all that a drain needs. */
export function readDrainConfig(environment: Environment = process.env) {
  const read = readEnvironment(
    commonSchema.pick({
      ...{ ROOST_ADMIN_LISTEN: true, ROOST_DRAIN_NOTICE_MS: true, ROOST_DRAIN_MS: true },
    }),
    environment,
  );
  return {
    admin: read.ROOST_ADMIN_LISTEN,
    drain: { noticeMs: read.ROOST_DRAIN_NOTICE_MS, callsMs: read.ROOST_DRAIN_MS },
  };
}

/** Besides, what an Envoy read when it was started: of clients' and of peers' files those that are named. */
export function readGuardConfig(environment: Environment = process.env) {
  const read = readEnvironment(guardSchema, environment);
  const { ROOST_RENEW_WITHIN_MS: spreadMs, ...certificates } = read;
  return {
    ...readDrainConfig(environment),
    certificates: Object.values(certificates).filter(isThere),
    ...{ lookEveryMs: 30_000, spreadMs },
  };
}

const guardSchema = z.object({
  ROOST_TLS_CA: path,
  ROOST_DOOR_CERT: path.optional(),
  ROOST_DOOR_KEY: path.optional(),
  ROOST_TLS_CERT: path.optional(),
  ROOST_TLS_KEY: path.optional(),
  ROOST_GATE_CERT: path.optional(),
  ROOST_GATE_KEY: path.optional(),
  ROOST_FEDERATION_CERT: path.optional(),
  ROOST_FEDERATION_KEY: path.optional(),
  ROOST_PEER_CERT: path.optional(),
  ROOST_PEER_KEY: path.optional(),
  ROOST_RENEW_WITHIN_MS: integer(0, 86_400_000).prefault('3600000'),
});

function isThere<T>(value: T | undefined): value is T {
  return value !== undefined;
}
