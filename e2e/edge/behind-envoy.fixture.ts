import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import { assert } from '@roost/core/assert';
import { parseDomain } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { migrations as dsMigrations } from '@roost/ds/service';
import type { Door } from '@roost/e2e/door';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { type Service, SERVICES } from '@roost/e2e/servers/environment';
import { Envoy } from '@roost/e2e/servers/envoy';
import type { Environment } from '@roost/e2e/servers/processes';
import { Run } from '@roost/e2e/servers/run';
import type { World } from '@roost/e2e/world';
import { openServices } from '@roost/homeserver/services';
import { migrations as qsMigrations } from '@roost/qs/service';
import type { Bucket } from '@roost/rpc/address-limit';
import { type RunningServer, serve } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { freshDatabase, type FreshDatabase } from '@roost/testing/postgres';

export interface BehindEnvoyOptions {
  /** Over all edges. */
  readonly exemptBucket?: Bucket;
  readonly env?: Environment;
  /** Edges in front of the same services. */
  readonly edges?: number;
  /** Stands between what a service is and what is served of it. */
  readonly between?: (service: Service, binding: ServiceBinding) => ServiceBinding;
}

/** Services in this process, each behind its own port with mutual TLS, and real Envoys in front. */
export class BehindEnvoy implements Omit<World, 'federation' | 'operator'> {
  readonly domain = parseDomain('home.example');
  readonly databases: Readonly<Record<Service, FreshDatabase>>;
  readonly edges: readonly Envoy[];
  readonly #options: BehindEnvoyOptions;
  readonly #certificates: string;
  readonly #ports: Readonly<Record<Service, number>>;
  readonly #secrets = new Map<string, Uint8Array>();
  readonly #servers = new Map<Service, RunningServer>();
  #services: Awaited<ReturnType<typeof openServices>> | undefined;

  private constructor(parts: Parts) {
    this.databases = parts.databases;
    this.edges = parts.edges;
    this.#options = parts.options;
    this.#certificates = parts.certificates;
    this.#ports = parts.ports;
  }

  static async open(options: BehindEnvoyOptions = {}): Promise<BehindEnvoy> {
    const certificates = await certificatesOf('home.example');
    const databases = {
      as: await freshDatabase(asMigrations),
      aas: await freshDatabase(aasMigrations),
      qs: await freshDatabase(qsMigrations),
      ds: await freshDatabase(dsMigrations),
    };
    const run = Run.current();
    const take = async () => await run.takePort();
    const ports = { as: await take(), aas: await take(), qs: await take(), ds: await take() };
    const at = (service: Service) => [`127.0.0.1:${ports[service]}`];
    const services = { as: at('as'), aas: at('aas'), qs: at('qs'), ds: at('ds') };
    const env = { ...UNLIMITED, ...options.env };
    const count = options.edges ?? 1;
    const edges = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        Envoy.prepare({
          ...{ domain: 'home.example', certificates, services, env },
          name: `envoy-${index + 1}`,
        }),
      ),
    );
    const world = new BehindEnvoy({ options, certificates, databases, edges, ports });
    await world.start();
    return world;
  }

  get edge(): Envoy {
    const [first] = this.edges;
    assert(first !== undefined, 'there is an edge');
    return first;
  }

  /** Where a service listens, and as who. */
  identity(service: Service) {
    const read = (name: string) => readFileSync(join(this.#certificates, name), 'utf8');
    const tls = { cert: read(`${service}.crt`), key: read(`${service}.key`), ca: read('ca.crt') };
    return { port: this.#ports[service], tls };
  }

  get door(): Door {
    return this.edge.door;
  }

  async start(): Promise<void> {
    this.#services = await openServices({
      quantities: { general: 100_000, contact: 10_000 },
      exemptBucket: this.#options.exemptBucket ?? { capacity: 100_000, refillPerSecond: 10_000 },
      home: { domain: this.domain, incarnation: 1, secret: async (name) => this.#secret(name) },
      databases: { of: (name) => this.databases[name] },
      registration: 'open',
      log: silent,
    });
    for (const service of SERVICES) await this.serve(service);
    await Promise.all(this.edges.map((edge) => edge.start()));
  }

  /** Opens the port of a service; an open one stays. */
  async serve(service: Service): Promise<void> {
    assert(this.#services !== undefined, 'the services were opened');
    if (this.#servers.has(service)) return;
    const { between = (_, binding) => binding } = this.#options;
    const bindings = this.#services.bindings
      .filter((each) => serviceOf(each) === service)
      .map((each) => between(service, each));
    const { port, tls } = this.identity(service);
    const server = await serve({
      listen: { host: '127.0.0.1', port },
      tls,
      callers: { certifiedBy: this.domain },
      bindings,
      log: silent,
    });
    this.#servers.set(service, server);
  }

  /** Closes the port of a service: it is away. */
  async hide(service: Service): Promise<void> {
    await this.#servers.get(service)?.close(0);
    this.#servers.delete(service);
  }

  async stop(): Promise<void> {
    for (const service of SERVICES) await this.hide(service);
    await this.#services?.[Symbol.asyncDispose]();
    this.#services = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.edges.map((edge) => edge[Symbol.asyncDispose]()));
    await this.stop();
    await Promise.all(Object.values(this.databases).map((each) => each[Symbol.asyncDispose]()));
  }

  #secret(purpose: string): Uint8Array {
    const secret = this.#secrets.get(purpose) ?? crypto.random(32);
    this.#secrets.set(purpose, secret);
    return secret;
  }
}

interface Parts {
  readonly options: BehindEnvoyOptions;
  readonly certificates: string;
  readonly databases: Readonly<Record<Service, FreshDatabase>>;
  readonly edges: readonly Envoy[];
  readonly ports: Readonly<Record<Service, number>>;
}

/** All clients of a test come from one address. */
const UNLIMITED = { ROOST_ADDRESS_CALLS: '100000', ROOST_ADDRESS_CALLS_PER_SECOND: '100000' };

function serviceOf({ methods }: ServiceBinding): string | undefined {
  return [...methods.values()][0]?.rule.service;
}

const quiet = (): void => undefined;
const silent: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, named: () => silent };
