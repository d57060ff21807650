import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import { assert } from '@roost/core/assert';
import { type Domain, parseDomain } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { migrations as dsMigrations } from '@roost/ds/service';
import { migrations as qsMigrations } from '@roost/qs/service';
import { Database } from '@roost/postgres/database';
import { assertDomain } from '@roost/postgres/migrate';
import { ruleOf } from '@roost/rpc/access';
import { type Channel, type Client, clientOf, connectPeer } from '@roost/rpc/client';
import type { ServiceDefinition } from '@roost/rpc/definition';
import { freshDatabase, type FreshDatabase } from '@roost/testing/postgres';
import { until } from '@roost/testing/until';
import type { Door } from '../door.ts';
import type { World, WorldOptions } from '../world.ts';
import { certificatesOf } from './certificates.ts';
import {
  type Addresses,
  type Parts,
  SERVICES,
  type Service,
  environmentOf,
  writeSecrets,
} from './environment.ts';
import { Envoy } from './envoy.ts';
import { GATEWAY, gatewayProcesses, openGatewayDatabase, takeGatewayAddresses } from './gateway.ts';
import { sharedAddresses } from './ground.ts';
import { type Environment, ServiceProcess } from './processes.ts';
import { Run } from './run.ts';

export interface HomeserverOptions extends WorldOptions {
  /** For every process, or for those of one service. */
  readonly env?: Environment;
  readonly envOf?: Partial<Record<Service | typeof GATEWAY, Environment>>;
  readonly edgeEnv?: Environment;
  /** Another program than the service's own, from the root of the repository. */
  readonly mains?: Partial<Record<Service, string>>;
  /** Puts something between a service and what it reaches: its environment, as it is to be. */
  readonly rewire?: (service: Service, env: Environment) => Environment;
  /** By purpose; drawn where nothing is said. */
  readonly secrets?: Readonly<Record<string, Uint8Array>>;
  /** Servers of its own, in the stead of those of the run. */
  readonly ground?: Partial<Addresses>;
}

type Databases = Readonly<Record<Service, FreshDatabase>>;

const MIGRATIONS: Readonly<Record<Service, URL>> = {
  as: asMigrations,
  aas: aasMigrations,
  qs: qsMigrations,
  ds: dsMigrations,
};

/**
 * A homeserver of separate services, several processes of each, behind an Envoy of its own. It shares PostgreSQL,
 * NATS and Valkey with the other homeservers of the run, but no database, no subject and no bucket.
 */
export class Homeserver implements World {
  readonly domain: Domain;
  readonly databases: Databases;
  readonly federation: FreshDatabase | undefined;
  /** By their names, such as `qs-2`. */
  readonly processes: ReadonlyMap<string, ServiceProcess>;
  readonly edge: Envoy;
  /** One file for each process. */
  readonly logs: string;
  readonly certificates: string;
  readonly ground: Addresses;
  readonly #secrets: ReadonlyMap<string, Uint8Array>;
  readonly #channels = new Map<string, Channel>();

  private constructor(made: Made) {
    this.domain = parseDomain(made.parts.domain);
    this.databases = made.databases;
    this.federation = made.federation;
    this.processes = made.processes;
    this.edge = made.edge;
    this.logs = made.logs;
    this.certificates = made.parts.certificates;
    this.ground = made.parts.ground;
    this.#secrets = made.secrets;
  }

  static async open(options: HomeserverOptions = {}): Promise<Homeserver> {
    const homeserver = new Homeserver(await make(options));
    await homeserver.start();
    return homeserver;
  }

  /** The edge's. */
  get door(): Door {
    return this.edge.door;
  }

  process(name: string): ServiceProcess {
    const found = this.processes.get(name);
    assert(found !== undefined, `there is a process ${name}`);
    return found;
  }

  /** The processes of a service; there are some of the gateway where it meets others. */
  of(service: Service | typeof GATEWAY): ServiceProcess[] {
    return [...this.processes.values()].filter(({ name }) => name.startsWith(`${service}-`));
  }

  /** All processes that are not running, at once. */
  async start(): Promise<void> {
    await Promise.all([...this.processes.values()].map((each) => each.start()));
    await this.edge.start();
    await until(() => this.edge.seesAll());
  }

  /** Every service, by SIGTERM; the edge stays. */
  async stop(): Promise<void> {
    await Promise.all([...this.processes.values()].map((each) => each.stop()));
  }

  /** A secret of the homeserver. */
  secret(purpose: string): Uint8Array {
    const secret = this.#secrets.get(purpose);
    assert(secret !== undefined, `there is a secret ${purpose}`);
    return secret;
  }

  operator<D extends ServiceDefinition>(definition: D): Client<D> {
    const [method] = Object.values(definition.methods);
    const service = method && ruleOf(method)?.service;
    assert(service !== undefined, 'a service has methods with rules');
    const channel = this.#channels.get(service) ?? this.#connect(service);
    this.#channels.set(service, channel);
    return clientOf(definition, channel);
  }

  /** By service; `edge` is Envoy. */
  pids(): Record<string, number[]> {
    const running = (processes: readonly { readonly pid: number | undefined }[]): number[] =>
      processes.flatMap(({ pid }) => (pid === undefined ? [] : pid));
    const isMet = this.federation !== undefined;
    const all = [...SERVICES, ...(isMet ? ([GATEWAY] as const) : [])];
    const own = all.map((service) => [service, running(this.of(service))] as const);
    return { ...Object.fromEntries(own), edge: running([this.edge]) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of this.#channels.values()) channel.close();
    await Promise.all([...this.processes.values()].map((each) => each.kill()));
    await this.edge[Symbol.asyncDispose]();
    const all = [...Object.values(this.databases), this.federation ?? []].flat();
    await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
  }

  /** As the operator, to whichever replica answers. */
  #connect(service: string): Channel {
    const read = (name: string): string => readFileSync(join(this.certificates, name), 'utf8');
    const addresses = [...this.processes.values()]
      .filter(({ name }) => name.replace(/-\d+$/, '') === service)
      .map(({ address }) => address);
    return connectPeer(
      addresses,
      { domain: this.domain, name: service },
      { cert: read('operator.crt'), key: read('operator.key'), ca: read('ca.crt') },
    );
  }
}

interface Made {
  readonly parts: Parts;
  readonly databases: Databases;
  readonly federation: FreshDatabase | undefined;
  readonly processes: ReadonlyMap<string, ServiceProcess>;
  readonly edge: Envoy;
  readonly logs: string;
  readonly secrets: ReadonlyMap<string, Uint8Array>;
}

const PURPOSES = ['as', 'aas', 'qs', 'push', 'transport', 'hub', 'federation'];

async function make(options: HomeserverOptions): Promise<Made> {
  const run = Run.current();
  const { domain = 'home.example', replicas = 2 } = options;
  const ground = { ...sharedAddresses(), ...options.ground };
  const [folder, logs] = [
    run.makeFolder('homeserver'),
    run.makeFolder(process.env['ROOST_TEST_FILE'] ?? 'homeserver', 'logs'),
  ];
  const secrets = new Map(
    PURPOSES.map((purpose) => [purpose, options.secrets?.[purpose] ?? crypto.random(32)]),
  );
  const secretOf = (purpose: string): Uint8Array => secrets.get(purpose) ?? new Uint8Array(0);
  writeSecrets(join(folder, 'secrets'), secretOf);
  const [certificates, databases] = await Promise.all([
    certificatesOf(domain),
    openDatabases(ground, domain),
  ]);
  const addresses = await takeAddresses(replicas);
  const met = options.neighbourhood && {
    neighbourhood: options.neighbourhood,
    addresses: await takeGatewayAddresses(replicas),
    database: await openGatewayDatabase({ ground, domain }),
  };
  const parts: Parts = {
    ...{ domain, certificates, ground, databases, options },
    prefix: `t${Buffer.from(crypto.random(6)).toString('hex')}`,
    secrets: join(folder, 'secrets'),
    ...{ asAddresses: addresses.as, aasAddresses: addresses.aas },
    gatewayAddresses: met?.addresses.mutual ?? [],
  };
  const authority = options.pushing?.authority;
  const trusting = authority === undefined ? {} : { NODE_EXTRA_CA_CERTS: join(folder, 'push.pem') };
  if (authority !== undefined) writeFileSync(join(folder, 'push.pem'), authority);
  const processes = new Map<string, ServiceProcess>();
  for (const service of SERVICES) {
    for (const [index, address] of addresses[service].entries()) {
      const name = `${service}-${index + 1}`;
      const healthAddress = `127.0.0.1:${await run.takePort()}`;
      const plain = environmentOf(service, parts);
      const env = {
        ...(options.rewire?.(service, plain) ?? plain),
        ...(service === 'qs' ? trusting : {}),
        ...{ ROOST_LISTEN: address, ROOST_HEALTH_LISTEN: healthAddress },
        ...{ ...options.env, ...options.envOf?.[service] },
      };
      const main = options.mains?.[service] ?? `services/${service}/src/main.ts`;
      processes.set(name, new ServiceProcess({ name, main, env, address, healthAddress, logs }));
    }
  }
  if (met !== undefined) {
    const env = { ...options.federationEnv, ...options.env, ...options.envOf?.[GATEWAY] };
    const order = { ...met, services: addresses, secretOf, logs, env };
    for (const each of await gatewayProcesses(parts, order)) processes.set(each.name, each);
  }
  const edge = await Envoy.prepare({
    ...{ domain, certificates, services: addresses, met },
    env: { ...UNLIMITED, ...options.federationEnv, ...options.edgeEnv },
  });
  symlinkSync(edge.log, join(logs, 'edge.log'));
  return { parts, databases, federation: met?.database, processes, edge, logs, secrets };
}

/** All clients of a story come from one address. */
const UNLIMITED = { ROOST_ADDRESS_CALLS: '100000', ROOST_ADDRESS_CALLS_PER_SECOND: '100000' };

async function takeAddresses(replicas: number): Promise<Record<Service, string[]>> {
  const run = Run.current();
  const take = async (): Promise<string[]> =>
    await Promise.all(
      Array.from({ length: replicas }, async () => `127.0.0.1:${await run.takePort()}`),
    );
  const [as, aas, qs, ds] = await Promise.all([take(), take(), take(), take()]);
  return { as, aas, qs, ds };
}

async function openDatabases({ postgres }: Addresses, domain: string): Promise<Databases> {
  const open = async (service: Service): Promise<FreshDatabase> => {
    const owner = `roost_${service}`;
    const database = await freshDatabase(MIGRATIONS[service], { owner, server: postgres });
    // What `migrate` does besides, as the owner of all tables.
    await using own = new Database(database.owner, 1);
    await assertDomain(own, domain, { isFirst: true });
    return database;
  };
  const [as, aas, qs, ds] = [
    await open('as'),
    await open('aas'),
    await open('qs'),
    await open('ds'),
  ];
  return { as, aas, qs, ds };
}
