import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import type { Bus } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import { type Domain, parseDomain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { migrations as dsMigrations } from '@roost/ds/service';
import { DIRECTORY_PATH } from '@roost/federation-gateway/discovery/document';
import { migrations as federationMigrations } from '@roost/federation-gateway/service';
import type { ServiceName } from '@roost/homeserver/databases';
import { prepareFederation, readFederationConfig } from '@roost/homeserver/federation';
import { openServices } from '@roost/homeserver/services';
import { migrations as qsMigrations } from '@roost/qs/service';
import { type Client, clientOf } from '@roost/rpc/call';
import type { ServiceDefinition } from '@roost/rpc/definition';
import { localTransport } from '@roost/rpc/local';
import { type RunningServer, serve } from '@roost/rpc/server';
import type { Log } from '@roost/service/log';
import { freshDatabase, type FreshDatabase } from '@roost/testing/postgres';
import type { Door } from './door.ts';
import type { World, WorldOptions } from './world.ts';

/** What only a homeserver in our own process can be given. */
export interface AllInOneOptions extends WorldOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly bus?: Bus;
  readonly roomPolicies?: Parameters<typeof openServices>[0]['roomPolicies'];
}

type Databases = Readonly<Record<ServiceName, FreshDatabase>>;
type Running = {
  readonly server: RunningServer;
  /** For other homeservers. */
  readonly peers: RunningServer | undefined;
  readonly services: Awaited<ReturnType<typeof openServices>>;
};

/**
 * A whole homeserver on one loopback port, with its token gate, over databases of its own: what
 * `npm start` runs, without the command line.
 */
export class AllInOne implements World {
  readonly domain: Domain;
  readonly databases: Databases;
  readonly federation: FreshDatabase | undefined;
  readonly #options: AllInOneOptions;
  readonly #secrets = new Map<string, Uint8Array>();
  /** Grows when a backup is put back. */
  incarnation = 1;
  #running: Running | undefined;
  #port = 0;

  private constructor(
    options: AllInOneOptions,
    databases: Databases,
    federation: FreshDatabase | undefined,
  ) {
    this.domain = parseDomain(options.domain ?? 'home.example');
    this.#options = options;
    this.databases = databases;
    this.federation = federation;
  }

  static async open(options: AllInOneOptions = {}): Promise<AllInOne> {
    const as = await freshDatabase(asMigrations);
    const aas = await freshDatabase(aasMigrations);
    const qs = await freshDatabase(qsMigrations);
    const ds = await freshDatabase(dsMigrations);
    const isMet = options.neighbourhood !== undefined;
    const federation = isMet ? await freshDatabase(federationMigrations) : undefined;
    const world = new AllInOne(options, { as, aas, qs, ds }, federation);
    await world.start();
    return world;
  }

  get door(): Door {
    return { address: `127.0.0.1:${this.#port}` };
  }

  async start(): Promise<void> {
    const { log = silent, registration = 'open', ...options } = this.#options;
    const federation = await this.#federation();
    const services = await openServices({
      quantities: { general: 100_000, contact: 10_000 },
      ...options,
      home: {
        ...{ domain: this.domain, incarnation: this.incarnation },
        secret: async (name) => this.secret(name),
      },
      databases: { of: (name) => this.databases[name] },
      ...{ registration, federation, log },
    });
    const { bindings, gate, limiter, directory } = services;
    const listen = { host: '127.0.0.1', port: this.#port };
    const exemptBucket = { capacity: 10_000, refillPerSecond: 10_000 };
    const pages = new Map(directory && [[DIRECTORY_PATH, directory]]);
    const door = { bindings, exemptBucket, pages, log };
    const server = await serve({ ...door, gate, limiter, listen, callers: 'edge' });
    this.#port = server.port;
    const peers = federation && (await serve({ ...door, ...federation, callers: 'peer' }));
    this.#running = { server, peers, services };
  }

  /** Stops the homeserver as an operator does; its databases stay. */
  async stop(graceMs = 0): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    running.server.drain();
    running.peers?.drain();
    await running.services[Symbol.asyncDispose]();
    await Promise.all([running.server.close(graceMs), running.peers?.close(graceMs)]);
  }

  operator<D extends ServiceDefinition>(definition: D): Client<D> {
    assert(this.#running !== undefined, 'an operator asks a homeserver that runs');
    return clientOf(definition, localTransport(this.#running.services.bindings, 'operator'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    const all = [...Object.values(this.databases), this.federation ?? []].flat();
    await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
  }

  /** As the program reads it out of its environment. */
  async #federation() {
    const { neighbourhood } = this.#options;
    if (neighbourhood === undefined || this.federation === undefined) return undefined;
    const { address } = neighbourhood.of(this.domain);
    const config = readFederationConfig({
      ...neighbourhood.environmentOf(this.domain),
      ROOST_FEDERATION_LISTEN: `${address}:${neighbourhood.port}`,
      ...this.#options.federationEnv,
    });
    assert(config !== undefined, 'federation is switched on');
    const prepared = await prepareFederation(config, this.domain, undefined);
    const asksForCertificate = prepared.config.mtls !== 'off';
    return { ...prepared, asksForCertificate, database: this.federation };
  }

  /** A secret of the homeserver, drawn once. */
  secret(purpose: string): Uint8Array {
    const secret = this.#secrets.get(purpose) ?? crypto.random(32);
    this.#secrets.set(purpose, secret);
    return secret;
  }
}

const quiet = (): void => undefined;
const silent: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, named: () => silent };
