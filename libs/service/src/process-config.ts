import { isIP } from 'node:net';
import {
  homeDomain,
  integer,
  level,
  list,
  listenAddress,
  parseListenAddress,
  path,
  variable,
} from './config.ts';
import type { ProcessConfig } from './program.ts';
import { z } from 'zod';

/** The variables of every service process; `processConfig` makes of them what it is told. */
export const processVariables = {
  ROOST_DOMAIN: homeDomain,
  ROOST_LISTEN: listenAddress.prefault('0.0.0.0:7443'),
  ROOST_HEALTH_LISTEN: listenAddress.prefault('0.0.0.0:9464'),
  ROOST_TLS_CERT: path,
  ROOST_TLS_KEY: path,
  ROOST_TLS_CA: path,
  ROOST_DATABASE_URL: variable('postgres://user:password@host:port/database', (text) =>
    URL.canParse(text) && /^postgres(ql)?:/.test(text) ? text : undefined,
  ),
  ROOST_DATABASE_CONNECTIONS: integer(3, 500).default(10),
  ROOST_SECRETS: path,
  ROOST_LOG_LEVEL: level.default('info'),
  ROOST_DRAIN_MS: integer(0, 600_000).default(5_000),
  ROOST_INCARNATION: integer(1, 2 ** 32 - 1).default(1),
};

const schema = z.object(processVariables);

export function processConfig(read: z.output<typeof schema>): ProcessConfig {
  return {
    domain: read.ROOST_DOMAIN,
    listen: read.ROOST_LISTEN,
    healthListen: read.ROOST_HEALTH_LISTEN,
    tls: { cert: read.ROOST_TLS_CERT, key: read.ROOST_TLS_KEY, ca: read.ROOST_TLS_CA },
    database: { url: read.ROOST_DATABASE_URL, connections: read.ROOST_DATABASE_CONNECTIONS },
    secrets: read.ROOST_SECRETS,
    logLevel: read.ROOST_LOG_LEVEL,
    drainMs: read.ROOST_DRAIN_MS,
    incarnation: read.ROOST_INCARNATION,
  };
}

/** One `name:port`, or several `ip:port` of one kind: what gRPC's own balancer takes. */
export const addresses = variable(
  'name:port (all addresses of the name take turns), or several ip:port with commas between',
  (text) => {
    const all = text.split(',').map((each) => each.trim());
    const kinds = new Set(all.map((each) => isIP(parseListenAddress(each)?.host ?? '')));
    const isEach = all.every((each) => parseListenAddress(each) !== undefined);
    return isEach && (all.length === 1 || (kinds.size === 1 && !kinds.has(0))) ? all : undefined;
  },
);

/** The variables of a process that uses NATS; `natsConfig` makes of them what the bus is told. */
export const natsVariables = {
  ROOST_NATS_SERVERS: list('nats://host:port or host:port, several with commas between', (text) =>
    /^((nats|tls):\/\/)?(\[[0-9a-f:.]+\]|[a-z0-9.-]+):\d{1,5}$/i.test(text),
  ),
  ROOST_NATS_USER: variable('a user of NATS', (text) => text),
  ROOST_NATS_PASSWORD: variable('the password of that user', (text) => text),
  ROOST_NATS_PREFIX: variable('letters, digits, - and _', (text) =>
    /^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : undefined,
  ).prefault('roost'),
  ROOST_NATS_CA: path.optional(),
};

/** Where the homeserver's own gateway is; absent where other homeservers are not reached. */
export const federationVariables = { ROOST_FEDERATION_ADDRESS: addresses.optional() };

const natsSchema = z.object(natsVariables);

export function natsConfig(read: z.output<typeof natsSchema>) {
  return {
    servers: read.ROOST_NATS_SERVERS,
    user: read.ROOST_NATS_USER,
    password: read.ROOST_NATS_PASSWORD,
    prefix: read.ROOST_NATS_PREFIX,
    caFile: read.ROOST_NATS_CA,
  };
}
