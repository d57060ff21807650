import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import type { DatabaseConfig } from '@roost/postgres/database';
import type { WorldOptions } from '../world.ts';
import type { Environment } from './processes.ts';

export const SERVICES = ['as', 'aas', 'qs', 'ds'] as const;
export type Service = (typeof SERVICES)[number];

/** Where the servers below a homeserver are. */
export interface Addresses {
  /** The URL of PostgreSQL's superuser. */
  readonly postgres: string;
  readonly redis: string;
  readonly nats: NatsAddress;
}

/** Where NATS is; services are users of it that may only do what is theirs. */
export interface NatsAddress {
  readonly servers: readonly string[];
  readonly passwords: Readonly<Record<string, string>>;
}

/** What the environments of all processes of a homeserver are made of. */
export interface Parts {
  readonly domain: string;
  readonly certificates: string;
  readonly ground: Addresses;
  /** Of its subjects and buckets. */
  readonly prefix: string;
  readonly databases: Readonly<Record<Service, { readonly owner: DatabaseConfig }>>;
  /** A folder for each service, with its secrets alone. */
  readonly secrets: string;
  readonly asAddresses: readonly string[];
  readonly aasAddresses: readonly string[];
  /** Of its gateway; none where it meets no other homeserver. */
  readonly gatewayAddresses: readonly string[];
  readonly options: WorldOptions;
}

/** The environment of a service, but for what each process has of its own. */
export function environmentOf(service: Service, parts: Parts): Environment {
  const { databases, options } = parts;
  return {
    ...commonOf(service, parts, databases[service].owner),
    ...meetingOf(service, parts),
    ...ownOf(service, parts, options),
  };
}

/** What every process of a homeserver is told. */
export function commonOf(
  name: string,
  { domain, certificates, ground, prefix, secrets }: Parts,
  owner: DatabaseConfig,
): Environment {
  assert('url' in owner, 'services reach PostgreSQL over TCP');
  return {
    ROOST_DOMAIN: domain,
    ROOST_TLS_CERT: join(certificates, `${name}.crt`),
    ROOST_TLS_KEY: join(certificates, `${name}.key`),
    ROOST_TLS_CA: join(certificates, 'ca.crt'),
    ROOST_DATABASE_URL: owner.url,
    ROOST_DATABASE_CONNECTIONS: '6',
    ROOST_NATS_SERVERS: ground.nats.servers.join(','),
    ROOST_NATS_USER: name,
    ROOST_NATS_PASSWORD: ground.nats.passwords[name],
    ROOST_NATS_PREFIX: prefix,
    ROOST_SECRETS: join(secrets, name),
    ROOST_LOG_LEVEL: 'debug',
    ROOST_DRAIN_MS: '2500',
  };
}

function meetingOf(service: Service, { gatewayAddresses, aasAddresses }: Parts): Environment {
  if (gatewayAddresses.length === 0 || service === 'aas') return {};
  const way = { ROOST_FEDERATION_ADDRESS: gatewayAddresses.join(',') };
  return service === 'qs' ? { ...way, ROOST_AAS_ADDRESS: aasAddresses.join(',') } : way;
}

function ownOf(service: Service, parts: Parts, options: WorldOptions): Environment {
  const { quantities = { general: 100_000, contact: 10_000 }, registration = 'open' } = options;
  switch (service) {
    case 'as':
      return { ROOST_REGISTRATION: registration };
    case 'aas':
      return {
        ROOST_REDIS_URL: parts.ground.redis,
        ROOST_REDIS_PREFIX: parts.prefix,
        ROOST_ADDRESS_CALLS: '100000',
        ROOST_ADDRESS_CALLS_PER_SECOND: '100000',
        ROOST_AS_ADDRESS: parts.asAddresses.join(','),
        ROOST_GENERAL_TOKENS_PER_DAY: String(quantities.general),
        ROOST_CONTACT_TOKENS_PER_DAY: String(quantities.contact),
      };
    case 'qs':
      return {
        ROOST_PUSH_TO_PRIVATE_ADDRESSES: options.pushing?.isPrivateAllowed === true ? 'yes' : 'no',
      };
    case 'ds':
      return { ROOST_INCARNATION: '1' };
  }
}

/** Which secrets each service is given (design §1: nobody has another's). */
const SECRETS: Readonly<Record<Service, readonly string[]>> = {
  as: ['as'],
  aas: ['aas'],
  qs: ['qs', 'push', 'transport'],
  ds: ['transport', 'hub'],
};

/** Writes the secrets of each service into a folder of its own. */
export function writeSecrets(folder: string, secretOf: (purpose: string) => Uint8Array): void {
  for (const service of SERVICES) {
    const own = join(folder, service);
    mkdirSync(own, { recursive: true, mode: 0o700 });
    for (const purpose of SECRETS[service]) {
      writeFileSync(join(own, purpose), `${toHex(secretOf(purpose))}\n`, { mode: 0o600 });
    }
  }
}
