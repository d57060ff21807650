import type { Domain } from '@roost/core/ids';
import { sleep } from '@roost/core/time';

/** How much of an outbox: rows, and the bytes of what is sealed in them. */
export interface Amount {
  readonly rows: number;
  readonly bytes: number;
}

/** What waits for one homeserver. */
export interface Weight extends Amount {
  readonly destination: Domain;
}

export interface OutboxWeightsOptions<W extends Weight> {
  readonly weigh: () => Promise<readonly W[]>;
  /** At least so long between two looks. */
  readonly everyMs: number;
  /** After each look. */
  readonly weighed?: () => void;
}

/**
 * How much waits in an outbox for each destination, in rows and bytes. It is measured in the background, as whoever
 * puts a row in cannot wait for a count; what this replica has added since is added, so that only what others
 * add within a moment is not seen.
 */
export class OutboxWeights<W extends Weight> {
  readonly #options: OutboxWeightsOptions<W>;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #measured = new Map<Domain, W>();
  /** What was added before the look that is under way, and what since: that may be in it or not, and counts on. */
  #before = new Map<Domain, Amount>();
  #added = new Map<Domain, Amount>();

  constructor(options: OutboxWeightsOptions<W>) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** As of the last look. */
  get measured(): ReadonlyMap<Domain, W> {
    return this.#measured;
  }

  of(destination: Domain): Amount {
    const parts = [this.#measured, this.#before, this.#added];
    return parts.reduce<Amount>((sum, part) => plus(sum, part.get(destination)), NOTHING);
  }

  note(destination: Domain, amount: Amount): void {
    this.#added.set(destination, plus(amount, this.#added.get(destination)));
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
      await sleep(Math.max(this.#options.everyMs, 9 * took), this.#stop.signal);
    }
  }

  async #measure(): Promise<void> {
    for (const [destination, amount] of this.#added) {
      this.#before.set(destination, plus(amount, this.#before.get(destination)));
    }
    this.#added = new Map();
    const weights = await this.#options.weigh();
    this.#measured = new Map(weights.map((weight) => [weight.destination, weight]));
    this.#before = new Map();
    this.#options.weighed?.();
  }
}

/** Nothing waits. */
export const NOTHING: Amount = { rows: 0, bytes: 0 };

function plus(one: Amount, other = NOTHING): Amount {
  return { rows: one.rows + other.rows, bytes: one.bytes + other.bytes };
}
