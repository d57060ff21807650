import type { Bell, Bus } from '@roost/bus/ports';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import { enterIncarnation } from '@roost/postgres/incarnation';
import { DeliveryAdminServiceDefinition } from '@roost/proto/roost/delivery/v1/admin';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { allowSuites } from '@roost/mls/suite';
import type { Forward } from '@roost/rpc/destination';
import { bind } from '@roost/rpc/service';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { Backlog } from './backlog.ts';
import { Batcher } from './batcher.ts';
import type { DsConfig } from './config.ts';
import type { Desk, Faults } from './desk.ts';
import { Dispatcher } from './dispatcher.ts';
import { OutboxAge } from './domain/outbox-age.ts';
import { dsEvents, observeDs } from './events.ts';
import { deliveryAdminHandlers } from './handlers/admin.ts';
import { deliveryHandlers } from './handlers.ts';
import { hubOf } from './hub.ts';
import { Line } from './line.ts';
import { sendBatch } from './sender.ts';
import type { Outcome, Send } from './sender.ts';
import { Sweeper } from './sweeper.ts';
import { Calm } from './tend.ts';
import { Vault } from './vault.ts';

export interface DsPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly log: Log;
  /** To our own QS. */
  readonly bus: Bus;
  /** To the gateway, for the users of other homeservers; absent where none is reached. */
  readonly federationBus?: Bus | undefined;
  /** Of the DS: rings where another replica has something to carry. */
  readonly bell: Bell;
  /** 32 bytes, shared with the QS and in no database. */
  readonly transportKey: Uint8Array;
  /** 32 bytes, in no database: the seed of the Ed25519 key by which the hub proposes changes. */
  readonly hubKey: Uint8Array;
  /** From outside the database; grows with each restore of it and never repeats. */
  readonly incarnation: number;
  /** Names this replica, and is drawn otherwise; for one that is alone, so that it has its leases at once. */
  readonly replica?: string;
  readonly faults?: Faults;
  /** How requests get to other homeservers; absent where none is reached, and groups have members of this one alone. */
  readonly forward?: Forward | undefined;
}

export interface RunningDs {
  readonly bindings: readonly ServiceBinding[];
  /** Ends the background work; what waits in the outbox is carried after the next start. */
  close(): Promise<void>;
}

export const migrations = new URL('../migrations/', import.meta.url);

/** Starts the DS over a migrated database. */
export async function openDs(config: DsConfig, ports: DsPorts): Promise<RunningDs> {
  const { database, clock, bus, bell, transportKey, incarnation, hubKey } = ports;
  const crypto = allowSuites(ports.crypto, config.suites);
  const { faults = noFaults, replica = toHex(crypto.random(16)) } = ports;
  assert(transportKey.length === 32, 'the transport key is 32 bytes long');
  assert(hubKey.length === 32, 'the key of the hub is 32 bytes long');
  assert(incarnation >= 1 && incarnation < 2 ** 32, 'an incarnation is a 32-bit number from 1 on');

  const events = dsEvents(ports.log);
  // Numbers of the outbox begin with it; groups go on by what their members find in the log.
  const isRestored = await enterIncarnation(database, incarnation, async () => {});
  if (isRestored) events.restored();
  const dispatcher = new Dispatcher(
    {
      ...{ database, bus, bell, crypto, transportKey, events, faults },
      federationBus: ports.federationBus,
    },
    config,
    replica,
  );
  const backlog = new Backlog(database, config.domain, config.limits, events);
  const sweeper = new Sweeper({ database, clock, crypto, events }, config.limits);
  const desk: Desk = {
    config,
    isFederated: ports.forward !== undefined,
    database,
    crypto,
    clock,
    vault: new Vault(crypto, config.limits.cacheBytesMax),
    line: new Line(LINE_MAX),
    keys: { crypto, transportKey, incarnation, backlog },
    calm: new Calm(),
    hub: hubOf(crypto, hubKey, config.domain),
    events,
    faults,
    backlog,
    wake: (partitions) => dispatcher.wake(partitions),
  };
  const batcher = new Batcher<Send, Outcome>(async (sends) => await sendBatch(desk, sends), {
    ...BATCHING,
    onSplit: events.batchSplit,
  });
  const handlers = deliveryHandlers(desk, batcher);
  const binding = bind(DeliveryServiceDefinition, handlers, {
    audience: config.domain,
    clock,
    crypto,
    forward: ports.forward,
  });
  const measured = { database, clock, backlog, home: config.domain, age: new OutboxAge() };
  const observed = observeDs({ ...measured, leases: dispatcher.leases });
  const admin = bind(DeliveryAdminServiceDefinition, deliveryAdminHandlers(measured), {
    audience: config.domain,
    clock,
    crypto,
  });
  const close = async (): Promise<void> => {
    observed[Symbol.dispose]();
    await Promise.all([dispatcher.close(), backlog.close(), sweeper.close()]);
  };
  return { bindings: [binding, admin], close };
}

/** Who waits for one group; a caller beyond is asked to come back. */
const LINE_MAX = 256;

const BATCHING = {
  lanes: 2,
  itemsMax: 128,
  bytesMax: 4 * 1024 * 1024,
  waitingMax: 4_096,
  sizeOf: ({ message }: Send) => message.tls.length,
};

function noFaults(): void {}
