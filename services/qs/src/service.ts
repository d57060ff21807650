import type { Bell, Bus } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import { sleep, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import { enterIncarnation } from '@roost/postgres/incarnation';
import { QueueAdminServiceDefinition } from '@roost/proto/roost/queue/v1/admin';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import type { Forward } from '@roost/rpc/destination';
import { bind, type ServiceBinding } from '@roost/rpc/service';
import type { Log } from '@roost/service/log';
import { defaultLimits, type QsConfig } from './config.ts';
import { observeQs, qsEvents, type QsEvents } from './events.ts';
import { queueHandlers } from './handlers.ts';
import { queueAdminHandlers } from './handlers/admin.ts';
import { SecretKeys } from './keys.ts';
import { Listeners } from './listeners.ts';
import { Pusher } from './pusher.ts';
import type { Push } from './push.ts';
import type { QueueLimits } from './queue-limits.ts';
import { QueueWriter } from './queue-writer.ts';
import { Receiver } from './receiver.ts';
import { Records } from './records.ts';
import { findEnds } from './store/queues.ts';
import { finalizeRestore } from './restored.ts';
import { sweep } from './sweep.ts';

export type { QsConfig, QsLimits } from './config.ts';

export interface QsPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly log: Log;
  readonly bus: Bus;
  readonly bell: Bell;
  readonly push: Push;
  /** 32 bytes, shared with the DS: what travels over the bus is sealed with it. */
  readonly transportKey: Uint8Array;
  /** How requests get to other homeservers; absent where none is reached, and none delivers here. */
  readonly forward?: Forward | undefined;
  /** Counts what other hubs deliver; given with `forward`. */
  readonly queueLimits?: QueueLimits | undefined;
}

export interface QsService {
  readonly bindings: ServiceBinding[];
  /** Asks listeners to leave, and waits for them a moment. */
  drain(): Promise<void>;
  /** Drains, and ends what is under way. */
  close(): Promise<void>;
}

export const migrations = new URL('../migrations/', import.meta.url);

/** Starts the queuing service on a database that is migrated. */
export async function openQs(config: QsConfig, ports: QsPorts): Promise<QsService> {
  const { database, crypto, clock, bus, bell, push, transportKey, forward, queueLimits } = ports;
  assert(
    (forward === undefined) === (queueLimits === undefined),
    'what other hubs deliver is counted, if any do',
  );
  const { domain } = config;
  const limits = { ...defaultLimits, ...config.limits };
  const events = qsEvents(ports.log);
  const keys = new SecretKeys(crypto, config.secretKey);
  const isFederated = forward !== undefined;
  const records = new Records({ domain, isFederated }, database, clock);
  const writer = new QueueWriter(crypto, keys, clock, limits);
  const listeners = new Listeners(bell, limits.listenersMax);
  await enterIncarnation(database, config.incarnation ?? 1, async (tx, restored) =>
    events.restored(await finalizeRestore(tx, restored, writer)),
  );
  const common = { domain, database, crypto, clock, keys, writer, listeners };

  const pusher = new Pusher({ database, crypto, listeners, push, events, limits });

  const receiver = new Receiver({ ...common, pusher, transportKey, events, records, queueLimits });
  const served = bus.serve(async (batch) => {
    try {
      return await receiver.receive(batch);
    } catch (error) {
      events.receiveFailed();
      throw error;
    }
  });
  const handlers = queueHandlers({ ...common, push, limits, records, events });
  const { keyOf } = records;
  const binding = bind(QueueServiceDefinition, handlers, {
    keyOf,
    audience: domain,
    clock,
    crypto,
    forward,
  });

  const observed = observeQs(listeners, database);
  const stop = new AbortController();
  const sweeping = repeat(limits.sweepMs, stop.signal, events.sweepFailed, () =>
    sweep({ database, clock, limits, writer, listeners }, stop.signal),
  );
  const polling = repeat(limits.pollMs, stop.signal, events.pollFailed, () =>
    poll(database, listeners),
  );

  const drain = async (): Promise<void> => {
    listeners.drain();
    if (listeners.count > 0) await listeners.emptied(limits.drainMs);
    listeners.endAll();
  };
  const operators = queueAdminHandlers({ database, listeners });
  const admin = bind(QueueAdminServiceDefinition, operators, { audience: domain, clock, crypto });
  return {
    bindings: [binding, admin],
    drain,
    async close() {
      await drain();
      stop.abort();
      observed[Symbol.dispose]();
      await Promise.all([served.close(), pusher.close(), sweeping, polling]);
    },
  };
}

/** Backs up the bell: looks where the queues of all local listeners end, a statement per thousand. */
async function poll(database: Database, listeners: Listeners): Promise<void> {
  const all = listeners.clientIds();
  for (let at = 0; at < all.length; at += POLL_ROWS_MAX) {
    const some = all.slice(at, at + POLL_ROWS_MAX);
    const ends = new Map((await findEnds(database, some)).map((row) => [row.clientId, row]));
    for (const clientId of some) {
      const end = ends.get(clientId);
      if (end === undefined) listeners.dismiss(clientId);
      else listeners.compare(clientId, end.next, end.listener);
    }
  }
}

const POLL_ROWS_MAX = 1_000;

async function repeat(
  everyMs: number,
  signal: AbortSignal,
  failed: QsEvents['sweepFailed'],
  work: () => Promise<void>,
): Promise<void> {
  for (;;) {
    await sleep(everyMs, signal);
    if (signal.aborted) return;
    await work().catch(failed);
  }
}
