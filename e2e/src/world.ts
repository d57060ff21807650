import { systemClock, type Clock } from '@roost/core/time';
import { type Domain, parseDomain } from '@roost/core/ids';
import type { Bus } from '@roost/bus/ports';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import { type DsPorts, migrations as dsMigrations } from '@roost/ds/service';
import { openServices, type ServiceName } from '@roost/homeserver/services';
import { migrations as qsMigrations } from '@roost/qs/service';
import { localTransport } from '@roost/rpc/local';
import { type RunningServer, serve } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Transport } from '@roost/rpc/call';
import type { Log } from '@roost/service/log';
import { type FreshDatabase, freshDatabase } from '@roost/testing/postgres';

export interface WorldOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly registration?: 'open' | 'invite';
  /** Tokens a day; far more than a test needs where it is not given. */
  readonly quantities?: { readonly general: number; readonly contact: number };
  readonly bus?: Bus;
  readonly faults?: DsPorts['faults'];
}

const QUANTITIES = { general: 100_000, contact: 10_000 };

/** A whole homeserver on one loopback port, with its token gate, over databases of its own. */
export class World implements AsyncDisposable {
  readonly domain: Domain = parseDomain('home.example');
  readonly databases: Readonly<Record<ServiceName, FreshDatabase>>;
  readonly #options: WorldOptions;
  readonly #secrets = new Map<string, Uint8Array>();
  #running: Running | undefined;
  #port = 0;

  private constructor(options: WorldOptions, databases: World['databases']) {
    this.#options = options;
    this.databases = databases;
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const [as, aas, qs, ds] = await Promise.all([
      freshDatabase(asMigrations),
      freshDatabase(aasMigrations),
      freshDatabase(qsMigrations),
      freshDatabase(dsMigrations),
    ]);
    const world = new World(options, { as, aas, qs, ds });
    await world.start();
    return world;
  }

  /** `127.0.0.1:port`; the same over restarts. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** The way of the operator, whose listener is not open here. */
  get operator(): Transport {
    return localTransport(this.bindings, 'operator');
  }

  get bindings(): readonly ServiceBinding[] {
    return this.#running?.bindings ?? [];
  }

  async start(): Promise<void> {
    const { clock = systemClock, log = silent, quantities = QUANTITIES } = this.#options;
    const { registration = 'open', bus, faults } = this.#options;
    const services = await openServices({
      home: { domain: this.domain, incarnation: 1, secret: async (name) => this.#secret(name) },
      databases: { of: (name) => this.databases[name] },
      ...{ registration, log, quantities, clock, bus, faults },
    });
    const { bindings, gate } = services;
    const listen = { host: '127.0.0.1', port: this.#port };
    const server = await serve({ listen, bindings, callers: 'edge', gate, log });
    this.#port = server.port;
    this.#running = { bindings, server, close: async () => await services[Symbol.asyncDispose]() };
  }

  /** Stops the homeserver as an operator does; its databases stay. */
  async stop(graceMs = 0): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.server.close(graceMs);
    await running?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Promise.all(Object.values(this.databases).map((each) => each[Symbol.asyncDispose]()));
  }

  #secret(name: string): Uint8Array {
    const known = this.#secrets.get(name) ?? crypto.random(32);
    this.#secrets.set(name, known);
    return known;
  }
}

interface Running {
  readonly bindings: readonly ServiceBinding[];
  readonly server: RunningServer;
  readonly close: () => Promise<void>;
}

const quiet = (): void => undefined;
const silent: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, named: () => silent };
