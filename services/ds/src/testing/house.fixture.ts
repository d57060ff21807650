import type { Domain } from '@roost/core/ids';
import { parseDomain } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';
import { MemoryBell } from '@roost/bus/memory';
import type { Bell, Bus } from '@roost/bus/ports';
import type { Database } from '@roost/postgres/database';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, connect } from '@roost/rpc/client';
import type { Forward } from '@roost/rpc/destination';
import type { Client } from '@roost/rpc/client';
import { serve } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import { createLog } from '@roost/service/log';
import { TestClock } from '@roost/testing/clock';
import { freshDatabase } from '@roost/testing/postgres';
import { dsDefaults } from '../config.ts';
import type { DispatchConfig, DsConfig, DsLimits } from '../config.ts';
import type { Faults } from '../desk.ts';
import { dsEvents } from '../events.ts';
import { migrations, openDs } from '../service.ts';
import type { SweeperPorts } from '../sweeper.ts';
import { TestReceiver } from './receiver.fixture.ts';

export const home: Domain = parseDomain('hub.example');

/** Of all hubs of tests, so that a group can be made before its hub. */
export const hubKey = nodeCrypto.random(32);

export type DeliveryClient = Client<typeof DeliveryServiceDefinition>;

export interface HouseOptions {
  readonly database?: Database;
  readonly receiver?: TestReceiver;
  readonly incarnation?: number;
  /** Several houses over one database are replicas where they have names of their own and one bell. */
  readonly replica?: string;
  readonly bell?: Bell;
  readonly faults?: Faults;
  readonly limits?: Partial<DsLimits>;
  readonly dispatch?: Partial<DispatchConfig>;
  readonly suites?: readonly number[];
  readonly roomPolicies?: DsConfig['roomPolicies'];
  /** What lets in members of other homeservers. */
  readonly federation?: { readonly forward: Forward; readonly federationBus: Bus };
}

/** A DS over a real database and a real gRPC port, and a receiver behind its bus. */
export interface House extends AsyncDisposable {
  readonly database: Database;
  readonly receiver: TestReceiver;
  readonly clock: TestClock;
  /** What the sweeper has. */
  readonly sweeping: SweeperPorts;
  readonly client: DeliveryClient;
  readonly bindings: readonly ServiceBinding[];
  readonly address: string;
}

/** For tests of what happens when a process ends: the database outlives the house. */
export async function emptyDatabase(): Promise<Database> {
  return await freshDatabase(migrations);
}

export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const { receiver = new TestReceiver(), incarnation = 1, faults } = options;
  const stack = new AsyncDisposableStack();
  const database = options.database ?? stack.use(await freshDatabase(migrations));
  // KeyPackages of ts-mls are dated by the system's clock.
  const clock = new TestClock(Date.now());
  const log = createLog('ds', 'silent');
  const config = {
    domain: home,
    suites: options.suites ?? dsDefaults.suites,
    limits: { ...dsDefaults.limits, ...options.limits },
    dispatch: { ...dsDefaults.dispatch, ...FAST, ...options.dispatch },
    ...(options.roomPolicies === undefined ? {} : { roomPolicies: options.roomPolicies }),
  };
  const ds = await openDs(config, {
    database,
    crypto: nodeCrypto,
    clock,
    log,
    bus: receiver,
    bell: options.bell ?? new MemoryBell(),
    replica: options.replica ?? 'house',
    transportKey: receiver.transportKey,
    incarnation,
    hubKey,
    ...options.federation,
    ...(faults === undefined ? {} : { faults }),
  });
  stack.defer(async () => await ds.close());
  const listen = { host: '127.0.0.1', port: 0 };
  const server = stack.use(
    await serve({ listen, bindings: [...ds.bindings], callers: 'edge', gate: async () => {}, log }),
  );
  const channel = stack.use(connect(server.address));
  const signing = { crypto: nodeCrypto, clock, audience: home };
  return {
    database,
    receiver,
    clock,
    bindings: ds.bindings,
    sweeping: { database, clock, crypto: nodeCrypto, events: dsEvents(log) },
    address: server.address,
    client: clientOf(DeliveryServiceDefinition, channel, signing),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

const FAST = { pollMs: 50, backoffFirstMs: 2, backoffLastMs: 20, timeoutMs: 2_000 };

/** Waits until what was accepted arrived, as the outbox tells. */
export async function quiet({ database }: Pick<House, 'database'>): Promise<void> {
  for (;;) {
    const [row] = await database.query<{ count: number }>({
      text: 'SELECT count(*)::integer AS count FROM outbox',
    });
    if (row?.count === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
