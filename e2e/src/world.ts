import { openAas, migrations as aasMigrations } from '@roost/aas/service';
import { DIRECT_QUEUE_LIMITS, migrations as asMigrations, openAs } from '@roost/as/service';
import { MemoryBell, MemoryBus } from '@roost/bus/memory';
import { type Domain, parseDomain } from '@roost/core/ids';
import { type Clock, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { dsDefaults } from '@roost/ds/config';
import { migrations as dsMigrations, openDs } from '@roost/ds/service';
import type { Database } from '@roost/postgres/database';
import { AuthenticationInternalServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { migrations as qsMigrations, openQs } from '@roost/qs/service';
import { localClient } from '@roost/rpc/local';
import { type RunningServer, serve } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { freshDatabase } from '@roost/testing/postgres';

export interface WorldOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** Tokens a day; far more than a test needs where it is not given. */
  readonly quantities?: { readonly general: number; readonly contact: number };
}

/** A whole homeserver on one loopback port, with a token gate, over databases of its own. */
export class World implements AsyncDisposable {
  readonly domain: Domain = parseDomain('home.example');
  readonly databases: Readonly<Record<'as' | 'aas' | 'qs' | 'ds', Database & AsyncDisposable>>;
  readonly #options: WorldOptions;
  readonly #keys = {
    as: crypto.random(32),
    aas: crypto.random(32),
    qs: crypto.random(32),
    transport: crypto.random(32),
  };
  #running: { readonly server: RunningServer; readonly close: () => Promise<void> } | undefined;
  #port = 0;

  private constructor(options: WorldOptions, databases: World['databases']) {
    this.#options = options;
    this.databases = databases;
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const [as, aas, qs, ds] = await Promise.all(
      [asMigrations, aasMigrations, qsMigrations, dsMigrations].map((each) => freshDatabase(each)),
    );
    if (!as || !aas || !qs || !ds) throw new Error('a database is missing');
    const world = new World(options, { as, aas, qs, ds });
    await world.start();
    return world;
  }

  /** `127.0.0.1:port`; the same over restarts. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const { bindings, gate, close } = await this.#open();
    const server = await serve({
      listen: { host: '127.0.0.1', port: this.#port },
      bindings,
      callers: 'edge',
      gate,
      log: this.#log,
    });
    this.#port = server.port;
    this.#running = { server, close };
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

  get #log(): Log {
    return this.#options.log ?? silent;
  }

  async #open() {
    const { domain, databases } = this;
    const { clock = systemClock, quantities = { general: 100_000, contact: 10_000 } } =
      this.#options;
    const log = this.#log;
    const [bus, bell] = [new MemoryBus(), new MemoryBell()];
    const common = { clock, crypto, log };
    const as = await openAs(
      {
        domain,
        registration: 'open',
        directQueue: DIRECT_QUEUE_LIMITS,
        secretKey: this.#keys.as,
      },
      { ...common, bell, database: databases.as },
    );
    const authentication = localClient(
      AuthenticationInternalServiceDefinition,
      bindingOf(as.bindings, AuthenticationInternalServiceDefinition),
      'aas',
    );
    const aas = await openAas(
      { domain, quantities, issuerThreads: 1, secretKey: this.#keys.aas },
      { ...common, authentication, database: databases.aas },
    );
    const transportKey = this.#keys.transport;
    const qs = await openQs(
      { domain, secretKey: this.#keys.qs },
      { ...common, bus, bell, transportKey, database: databases.qs },
    );
    const ds = await openDs(
      { domain, ...dsDefaults },
      { ...common, bus, transportKey, incarnation: 1, database: databases.ds },
    );
    const services = [as, aas, qs, ds];
    return {
      bindings: services.flatMap(({ bindings }) => [...bindings]),
      gate: undefined,
      close: async () => {
        for (const service of services.toReversed()) await service.close();
      },
    };
  }
}

function bindingOf(
  bindings: readonly ServiceBinding[],
  definition: { readonly fullName: string },
): ServiceBinding {
  const binding = bindings.find((each) => each.definition.fullName === definition.fullName);
  if (binding === undefined) throw new Error(`${definition.fullName} is not bound`);
  return binding;
}

const quiet = (): void => undefined;
const silent: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, named: () => silent };
