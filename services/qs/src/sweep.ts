import { DAY_MS, MINUTE_MS, monthOf, type Clock } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { QsLimits } from './config.ts';
import type { Listeners } from './listeners.ts';
import type { QueueWriter } from './queue-writer.ts';
import { sweepGone, sweeps } from './store/housekeeping.ts';
import { findExpired } from './store/queues.ts';

interface SweepPorts {
  readonly database: Database;
  readonly clock: Clock;
  readonly limits: QsLimits;
  readonly writer: QueueWriter;
  readonly listeners: Listeners;
}

const ROWS_MAX = 1_000;
const QUEUES_MAX = 100;
/** A sweep that has more to do goes on the next time. */
const BATCHES_MAX = 100;
/** Twice the window of a signature, and then some. */
const NONCE_MS = 10 * MINUTE_MS;
const CLAIM_MS = DAY_MS;
const DEAD_LETTER_MS = 30 * DAY_MS;
const GONE_MONTHS = 13;

/** Deletes what is too old, in bounded batches, each a transaction of its own. */
export async function sweep(ports: SweepPorts, signal: AbortSignal): Promise<void> {
  const { database, clock } = ports;
  const now = clock.now();
  const ago = (ms: number): Date => new Date(now - ms);
  const batches = [
    () => sweeps.nonces(database, ago(NONCE_MS), ROWS_MAX),
    () => sweeps.claims(database, ago(CLAIM_MS), ROWS_MAX),
    () => sweeps.deadLetters(database, ago(DEAD_LETTER_MS), ROWS_MAX),
    () => sweeps.packages(database, ago(0), ROWS_MAX),
    () => sweeps.mutes(database, Math.floor(now / MINUTE_MS), ROWS_MAX),
    () => sweepGone(database, monthOf(now) - GONE_MONTHS, ROWS_MAX),
  ];
  for (const batch of batches) {
    for (let count = 0; count < BATCHES_MAX && !signal.aborted; count++) {
      if ((await batch()).length < ROWS_MAX) break;
    }
  }
  await sweepQueues(ports, signal);
}

async function sweepQueues(ports: SweepPorts, signal: AbortSignal): Promise<void> {
  const { database, clock, limits, writer, listeners } = ports;
  const beforeDay = Math.floor((clock.now() - limits.queueTtlMs) / DAY_MS);
  for (let count = 0; count < BATCHES_MAX && !signal.aborted; count++) {
    const expired = await findExpired(database, beforeDay, QUEUES_MAX);
    for (const { clientId } of expired) {
      const stored = await database.transaction((tx) => writer.expire(tx, clientId, beforeDay));
      for (const each of stored) listeners.deliver(each.clientId, each.runs);
    }
    if (expired.length < QUEUES_MAX) return;
  }
}
