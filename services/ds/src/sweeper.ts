import type { Clock } from '@roost/core/time';
import { monthOf, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import { dayOf, SWEEP_MS } from './config.ts';
import type { DsLimits } from './config.ts';
import type { DsEvents } from './events.ts';
import { expireGroups } from './store/groups.ts';
import { sweep } from './store/log.ts';

export interface SweeperPorts {
  readonly database: Database;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly events: DsEvents;
}

/** Deletes what has expired, a bounded number of rows at a time. */
export class Sweeper {
  readonly #ports: SweeperPorts;
  readonly #limits: DsLimits;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(ports: SweeperPorts, limits: DsLimits) {
    this.#ports = ports;
    this.#limits = limits;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await sleep(SWEEP_MS, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      await sweepExpired(this.#ports, this.#limits).catch(this.#ports.events.sweepFailed);
    }
  }
}

/** Answers for repeats live a day at least; a row carries only the day that it was written on. */
export async function sweepExpired(
  { database, clock, crypto, events }: SweeperPorts,
  { logDays, joinInfoDays, groupMonths }: DsLimits,
): Promise<void> {
  const today = dayOf(clock.now());
  const before = {
    accepted: today - ANSWER_DAYS,
    log: today - logDays,
    joinInfo: today - joinInfoDays,
  };
  while ((await sweep(database, before)) > 0);
  const unused = monthOf(clock.now()) - groupMonths;
  const random = (): Uint8Array => crypto.random(DIGEST_BYTES);
  for (;;) {
    const count = await database.transaction(async (tx) => await expireGroups(tx, unused, random));
    if (count === 0) return;
    events.groupsExpired(count);
  }
}

const ANSWER_DAYS = 1;
const DIGEST_BYTES = 32;
