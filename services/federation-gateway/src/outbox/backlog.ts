import type { Domain } from '@roost/core/ids';
import { sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';

import { type Weight, weigh } from './store/rows.ts';

/** What may wait for one destination. */
export interface BacklogLimits {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

/**
 * How much waits for whom. It is measured in the background, and what this replica has added since is added: so a limit may be
 * exceeded by what comes within a moment.
 */
export class Backlog {
  readonly #database: Database;
  readonly #limits: BacklogLimits;
  readonly #measureMs: number;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #weights = new Map<Domain, Weight>();
  /** What was added before the look that is under way, and what since: that may be in it or not, and counts on. */
  #before = new Map<Domain, Added>();
  #added = new Map<Domain, Added>();

  constructor(database: Database, limits: BacklogLimits, measureMs: number) {
    this.#database = database;
    this.#limits = limits;
    this.#measureMs = measureMs;
    this.#running = this.#run();
  }

  /** As measured last. */
  get weights(): readonly Weight[] {
    return [...this.#weights.values()];
  }

  isFull({ destination }: Pick<Weight, 'destination'>): boolean {
    const parts = [this.#weights, this.#before, this.#added].map((each) => each.get(destination));
    const rows = parts.reduce((sum, part) => sum + (part?.rows ?? 0), 0);
    const bytes = parts.reduce((sum, part) => sum + (part?.bytes ?? 0), 0);
    return rows >= this.#limits.rowsMax || bytes >= this.#limits.bytesMax;
  }

  note(destination: Domain, rows: number, bytes: number): void {
    add(this.#added, destination, { rows, bytes });
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
        // The database is away: whoever wants to put something in hears it.
      }
      // A tenth of the time at most goes into measuring.
      const took = performance.now() - began;
      await sleep(Math.max(this.#measureMs, 9 * took), this.#stop.signal);
    }
  }

  async #measure(): Promise<void> {
    for (const [destination, added] of this.#added) add(this.#before, destination, added);
    this.#added = new Map();
    const weights = await weigh(this.#database);
    this.#weights = new Map(weights.map((weight) => [weight.destination, weight]));
    this.#before = new Map();
  }
}

interface Added {
  readonly rows: number;
  readonly bytes: number;
}

function add(all: Map<Domain, Added>, destination: Domain, { rows, bytes }: Added): void {
  const before = all.get(destination);
  const sum = { rows: rows + (before?.rows ?? 0), bytes: bytes + (before?.bytes ?? 0) };
  all.set(destination, sum);
}
