import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import type { Bus } from '@roost/bus/ports';
import { parseDomain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { migrations as dsMigrations } from '@roost/ds/service';
import type { ServiceName } from '@roost/homeserver/databases';
import { openServices } from '@roost/homeserver/services';
import { migrations as qsMigrations } from '@roost/qs/service';
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
  readonly services: Awaited<ReturnType<typeof openServices>>;
};

/**
 * A whole homeserver on one loopback port, with its token gate, over databases of its own: what
 * `npm start` runs, without the command line.
 */
export class AllInOne implements World {
  readonly domain = parseDomain('home.example');
  readonly databases: Databases;
  readonly #options: AllInOneOptions;
  readonly #secrets = new Map<string, Uint8Array>();
  #running: Running | undefined;
  #port = 0;

  private constructor(options: AllInOneOptions, databases: Databases) {
    this.#options = options;
    this.databases = databases;
  }

  static async open(options: AllInOneOptions = {}): Promise<AllInOne> {
    const as = await freshDatabase(asMigrations);
    const aas = await freshDatabase(aasMigrations);
    const qs = await freshDatabase(qsMigrations);
    const ds = await freshDatabase(dsMigrations);
    const world = new AllInOne(options, { as, aas, qs, ds });
    await world.start();
    return world;
  }

  get door(): Door {
    return { address: `127.0.0.1:${this.#port}` };
  }

  async start(): Promise<void> {
    const { log = silent, registration = 'open', ...options } = this.#options;
    const services = await openServices({
      quantities: { general: 100_000, contact: 10_000 },
      ...options,
      home: { domain: this.domain, incarnation: 1, secret: async (name) => this.secret(name) },
      databases: { of: (name) => this.databases[name] },
      registration,
      log,
    });
    const { bindings, gate, limiter } = services;
    const listen = { host: '127.0.0.1', port: this.#port };
    const exemptBucket = { capacity: 10_000, refillPerSecond: 10_000 };
    const door = { bindings, gate, limiter, exemptBucket };
    const server = await serve({ ...door, listen, callers: 'edge', log });
    this.#port = server.port;
    this.#running = { server, services };
  }

  /** Stops the homeserver as an operator does; its databases stay. */
  async stop(graceMs = 0): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    running.server.drain();
    await running.services[Symbol.asyncDispose]();
    await running.server.close(graceMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Promise.all(Object.values(this.databases).map((each) => each[Symbol.asyncDispose]()));
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
