import { Failure } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { DsEvents } from './events.ts';
import { weighOutbox } from './store/depth.ts';

export interface BacklogLimits {
  readonly outboxRowsMax: number;
  readonly outboxBytesMax: number;
}

/**
 * Whether the outbox has room. What a send would have to count is measured in the background, and what this
 * replica has added since is added: so it may be exceeded by what others add within a moment.
 */
export class Backlog {
  readonly #database: Database;
  readonly #limits: BacklogLimits;
  readonly #events: DsEvents;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #rows = 0;
  #bytes = 0;
  #isFull = false;

  constructor(database: Database, limits: BacklogLimits, events: DsEvents) {
    this.#database = database;
    this.#limits = limits;
    this.#events = events;
    this.#running = this.#run();
  }

  /** Refuses what would put more into an outbox that is full; before anything else is done about it. */
  assertRoom(): void {
    const { outboxRowsMax, outboxBytesMax } = this.#limits;
    if (this.#rows < outboxRowsMax && this.#bytes < outboxBytesMax) return;
    throw new Failure('RATE_LIMITED', 'too much waits to be delivered', {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  /** As it was found at the last look. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Something is put in. */
  note(bytes: number): void {
    this.#rows++;
    this.#bytes += bytes;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
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
    const { outboxRowsMax, outboxBytesMax } = this.#limits;
    const [before, bytesBefore] = [this.#rows, this.#bytes];
    const { rows, bytes } = await weighOutbox(this.#database, outboxRowsMax);
    // What was added meanwhile may be in it or not, and counts until the next look.
    this.#rows = rows + this.#rows - before;
    this.#bytes = bytes + this.#bytes - bytesBefore;
    const isFull = rows >= outboxRowsMax || bytes >= outboxBytesMax;
    if (isFull !== this.#isFull) this.#events.outboxFull(isFull);
    this.#isFull = isFull;
  }
}

const MEASURE_MS = 1_000;
const RETRY_AFTER_MS = 5_000;
