import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { DsEvents } from './events.ts';
import { weighOutbox } from './store/depth.ts';

export interface BacklogLimits {
  readonly outboxRowsMax: number;
  readonly outboxBytesMax: number;
}

interface Amount {
  readonly rows: number;
  readonly bytes: number;
}

/**
 * Whether the outbox has room. What a send would have to count is measured in the background, and what this
 * replica has added since is added: so it may be exceeded by what others add within a moment. Each destination
 * has its own part: no other homeserver that is away keeps our own users from writing to each other.
 */
export class Backlog {
  readonly #database: Database;
  readonly #home: Domain;
  readonly #limits: BacklogLimits;
  readonly #events: DsEvents;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #weights = new Map<Domain, Amount>();
  #isFull = false;

  constructor(database: Database, home: Domain, limits: BacklogLimits, events: DsEvents) {
    this.#database = database;
    this.#home = home;
    this.#limits = limits;
    this.#events = events;
    this.#running = this.#run();
  }

  /** Refuses what would put more into an outbox that is full; before anything else is done about it. */
  assertRoom(): void {
    if (!this.#isBeyond(this.#weights.get(this.#home), 1)) return;
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
    if (isAway && this.#isBeyond(this.#weights.get(destination), AWAY_SHARE)) {
      this.#events.outboxSkipped();
      return false;
    }
    add(this.#weights, destination, { rows: 1, bytes });
    return true;
  }

  /** As it was found at the last look. */
  get isFull(): boolean {
    return this.#isFull;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #isBeyond(amount: Amount | undefined, share: number): boolean {
    const { rows, bytes } = amount ?? NOTHING;
    const { outboxRowsMax, outboxBytesMax } = this.#limits;
    return rows >= outboxRowsMax * share || bytes >= outboxBytesMax * share;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      try {
        await this.#measure();
      } catch {
        // The database is away: whoever sends hears it.
      }
      // A tenth of the time at most goes into measuring.
      const took = performance.now() - began;
      await sleep(Math.max(MEASURE_MS, 9 * took), this.#stop.signal);
    }
  }

  async #measure(): Promise<void> {
    const before = new Map(this.#weights);
    const weights = await weighOutbox(this.#database);
    const found = new Map<Domain, Amount>(weights.map((weight) => [weight.destination, weight]));
    const isFull = this.#isBeyond(found.get(this.#home), 1);
    // What was added meanwhile may be in it or not, and counts until the next look.
    for (const [destination, { rows, bytes }] of this.#weights) {
      const was = before.get(destination) ?? NOTHING;
      add(found, destination, { rows: rows - was.rows, bytes: bytes - was.bytes });
    }
    this.#weights = found;
    if (isFull !== this.#isFull) this.#events.outboxFull(isFull);
    this.#isFull = isFull;
  }
}

function add(weights: Map<Domain, Amount>, destination: Domain, { rows, bytes }: Amount): void {
  const was = weights.get(destination) ?? NOTHING;
  weights.set(destination, { rows: was.rows + rows, bytes: was.bytes + bytes });
}

const NOTHING: Amount = { rows: 0, bytes: 0 };
/** The gateway holds most of what waits for another homeserver; here is what it does not take any more. */
const AWAY_SHARE = 1 / 8;
const MEASURE_MS = 1_000;
const RETRY_AFTER_MS = 5_000;
