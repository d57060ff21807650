import { type Amount, NOTHING, OutboxWeights, type Weight } from '@roost/bus/outbox-weights';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import type { Database } from '@roost/postgres/database';
import type { DsEvents } from './events.ts';
import { weighOutbox } from './store/depth.ts';

export interface BacklogLimits {
  readonly outboxRowsMax: number;
  readonly outboxBytesMax: number;
}

/**
 * Whether the outbox has room; it may be exceeded by what others add within a moment. Each destination has its own
 * part: no other homeserver that is away keeps our own users from writing to each other.
 */
export class Backlog {
  readonly #home: Domain;
  readonly #limits: BacklogLimits;
  readonly #events: DsEvents;
  readonly #weights: OutboxWeights<Weight>;
  #isFull = false;

  constructor(database: Database, home: Domain, limits: BacklogLimits, events: DsEvents) {
    this.#home = home;
    this.#limits = limits;
    this.#events = events;
    this.#weights = new OutboxWeights({
      weigh: () => weighOutbox(database),
      everyMs: MEASURE_MS,
      weighed: () => this.#tellFull(),
    });
  }

  /** Refuses what would put more into an outbox that is full; before anything else is done about it. */
  assertRoom(): void {
    if (!this.#isBeyond(this.#weights.of(this.#home), 1)) return;
    throw new Failure('RATE_LIMITED', 'too much waits to be delivered', {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  /**
   * Whether a row is put in for a destination; it counts from now on. Beyond what may wait for another homeserver it is
   * not: its number is given out, and whoever comes back finds a gap there, as after a loss.
   */
  admit(destination: Domain, bytes: number): boolean {
    const isAway = destination !== this.#home;
    if (isAway && this.#isBeyond(this.#weights.of(destination), AWAY_SHARE)) {
      this.#events.outboxSkipped();
      return false;
    }
    this.#weights.note(destination, { rows: 1, bytes });
    return true;
  }

  /** As it was found at the last look. */
  get isFull(): boolean {
    return this.#isFull;
  }

  async close(): Promise<void> {
    await this.#weights.close();
  }

  #isBeyond({ rows, bytes }: Amount, share: number): boolean {
    const { outboxRowsMax, outboxBytesMax } = this.#limits;
    return rows >= outboxRowsMax * share || bytes >= outboxBytesMax * share;
  }

  #tellFull(): void {
    const found = this.#weights.measured.get(this.#home) ?? NOTHING;
    const isFull = this.#isBeyond(found, 1);
    if (isFull !== this.#isFull) this.#events.outboxFull(isFull);
    this.#isFull = isFull;
  }
}

/** The gateway holds most of what waits for another homeserver; here is what it does not take any more. */
const AWAY_SHARE = 1 / 8;
const MEASURE_MS = 1_000;
const RETRY_AFTER_MS = 5_000;
