import { availableParallelism } from 'node:os';
import { openAas, migrations as aasMigrations } from '@roost/aas/service';
import { DIRECT_QUEUE_LIMITS, migrations as asMigrations, openAs } from '@roost/as/service';
import { MemoryBell, MemoryBus, MemoryLimiter } from '@roost/bus/memory';
import type { Bus } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import { type Clock, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { type DsConfig, dsDefaults } from '@roost/ds/config';
import { type DsPorts, migrations as dsMigrations, openDs } from '@roost/ds/service';
import { Database, type DatabaseConfig } from '@roost/postgres/database';
import { migrate } from '@roost/postgres/migrate';
import { AuthenticationInternalServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import { TokenInternalServiceDefinition } from '@roost/proto/roost/tokens/v1/tokens';
import { migrations as qsMigrations, openQs } from '@roost/qs/service';
import { WebPush, type WebPushOptions } from '@roost/qs/web-push';
import { type Client, clientOf } from '@roost/rpc/call';
import type { ServiceDefinition } from '@roost/rpc/definition';
import { localTransport } from '@roost/rpc/local';
import type { Bucket, TokenGate } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import type { Home } from './home.ts';

/** Each has a role and a database of this name. */
export const SERVICES = ['as', 'aas', 'qs', 'ds'] as const;
export type ServiceName = (typeof SERVICES)[number];

const CONNECTIONS_MAX = 10;

const MIGRATIONS: Readonly<Record<ServiceName, URL>> = {
  as: asMigrations,
  aas: aasMigrations,
  qs: qsMigrations,
  ds: dsMigrations,
};

export interface Databases extends AsyncDisposable {
  readonly of: (name: ServiceName) => Database;
  /** Whether all of them answer. */
  readonly health: () => Promise<boolean>;
}

/** Opens the database of each service and brings it to today's schema. */
export async function openDatabases(
  configs: Readonly<Record<string, DatabaseConfig>>,
): Promise<Databases> {
  const open = new Map<ServiceName, Database>();
  for (const name of SERVICES) {
    const config = configs[name];
    assert(config !== undefined, `there is a database for ${name}`);
    open.set(name, new Database(config, CONNECTIONS_MAX));
  }
  const close = async (): Promise<void> => {
    await Promise.all([...open.values()].map((database) => database[Symbol.asyncDispose]()));
  };
  try {
    await Promise.all([...open].map(([name, database]) => migrate(database, MIGRATIONS[name])));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    of: (name) => {
      const database = open.get(name);
      assert(database !== undefined, `the database of ${name} is open`);
      return database;
    },
    health: async () => {
      const asked = [...open.values()].map((database) => database.query({ text: 'SELECT' }));
      return (await Promise.allSettled(asked)).every(({ status }) => status === 'fulfilled');
    },
    [Symbol.asyncDispose]: close,
  };
}

export interface Services extends AsyncDisposable {
  readonly bindings: readonly ServiceBinding[];
  readonly gate: TokenGate;
  readonly limiter: MemoryLimiter;
}

interface Parts {
  readonly home: Pick<Home, 'domain' | 'incarnation' | 'secret'>;
  readonly databases: Pick<Databases, 'of'>;
  readonly registration: 'open' | 'invite';
  readonly log: Log;
  /** Tokens of each class that an account may draw a day. */
  readonly quantities: { readonly general: number; readonly contact: number };
  /** What an address may ask for without a token, where an edge asks the AAS. */
  readonly exemptBucket?: Bucket | undefined;
  readonly clock?: Clock | undefined;
  /** What stands between DS and QS. */
  readonly bus?: Bus | undefined;
  /** Which push providers are called besides those of the public internet. */
  readonly pushing?: Pick<WebPushOptions, 'isPrivateAllowed' | 'authority'> | undefined;
  /** The policies that the hub proposes to rooms. */
  readonly roomPolicies?: DsConfig['roomPolicies'] | undefined;
  /** Where the DS may be made to fail. */
  readonly faults?: DsPorts['faults'] | undefined;
}

/**
 * Starts all services in this process. They meet as they would over the wire: by clients whose calls
 * are encoded and held to the access rules, and over a bus and bells that may lose what they carry.
 */
export async function openServices({
  home,
  databases,
  registration,
  log,
  quantities,
  exemptBucket,
  clock = systemClock,
  bus = new MemoryBus(),
  faults,
  pushing,
  roomPolicies,
}: Parts): Promise<Services> {
  const { domain, incarnation, secret } = home;
  const [bell, limiter] = [new MemoryBell(), new MemoryLimiter(clock)];
  const [transportKey, hubKey] = [await secret('transport'), await secret('hub')];
  const portsOf = (name: ServiceName) => ({
    ...{ bus, bell, clock, crypto },
    ...{ database: databases.of(name), log: log.named(name) },
  });

  await using started = new AsyncDisposableStack();
  const start = <T extends { close(): Promise<void> }>(service: T): T => {
    started.defer(() => service.close());
    return service;
  };
  const secretKey = { as: await secret('as'), aas: await secret('aas'), qs: await secret('qs') };
  const as = start(
    await openAs(
      { domain, registration, directQueue: DIRECT_QUEUE_LIMITS, secretKey: secretKey.as },
      portsOf('as'),
    ),
  );
  const authentication = internal(AuthenticationInternalServiceDefinition, as.bindings, 'aas');
  // One core is left to everything else.
  const issuerThreads = Math.max(1, Math.min(4, availableParallelism() - 1));
  const aas = start(
    await openAas(
      { domain, quantities, issuerThreads, exemptBucket, secretKey: secretKey.aas },
      { ...portsOf('aas'), authentication, limiter },
    ),
  );
  const push = new WebPush({
    ...{ crypto, clock, privateKey: await secret('push'), subject: `https://${domain}` },
    isPrivateAllowed: pushing?.isPrivateAllowed ?? false,
    authority: pushing?.authority,
  });
  const qs = start(
    await openQs({ domain, secretKey: secretKey.qs }, { ...portsOf('qs'), transportKey, push }),
  );
  const ds = start(
    await openDs(
      { domain, ...dsDefaults, ...(roomPolicies === undefined ? {} : { roomPolicies }) },
      {
        // The only one of its name: after a restart it goes on at once.
        ...{ ...portsOf('ds'), transportKey, incarnation, hubKey, replica: 'homeserver' },
        ...(faults === undefined ? {} : { faults }),
      },
    ),
  );

  const { checkToken } = internal(TokenInternalServiceDefinition, aas.bindings, 'gate');
  const opened = started.move();
  return {
    bindings: [as, aas, qs, ds].flatMap(({ bindings }) => [...bindings]),
    gate: async (path, authorization, signal) =>
      void (await checkToken({ path, authorization }, { signal })),
    limiter,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function internal<D extends ServiceDefinition>(
  definition: D,
  bindings: readonly ServiceBinding[],
  as: string,
): Client<D> {
  return clientOf(definition, localTransport(bindings, as));
}
