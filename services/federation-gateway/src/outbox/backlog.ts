import { OutboxWeights } from '@roost/bus/outbox-weights';
import type { Domain } from '@roost/core/ids';
import type { Database } from '@roost/postgres/database';

import { type Weight, weigh } from './store/rows.ts';

/** What may wait for one destination. */
export interface BacklogLimits {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

/** How much waits for whom; a limit may be exceeded by what comes within a moment. */
export class Backlog {
  readonly #limits: BacklogLimits;
  readonly #weights: OutboxWeights<Weight>;

  constructor(database: Database, limits: BacklogLimits, measureMs: number) {
    this.#limits = limits;
    this.#weights = new OutboxWeights({ weigh: () => weigh(database), everyMs: measureMs });
  }

  /** As measured last. */
  get weights(): readonly Weight[] {
    return [...this.#weights.measured.values()];
  }

  isFull({ destination }: Pick<Weight, 'destination'>): boolean {
    const { rows, bytes } = this.#weights.of(destination);
    return rows >= this.#limits.rowsMax || bytes >= this.#limits.bytesMax;
  }

  note(destination: Domain, rows: number, bytes: number): void {
    this.#weights.note(destination, { rows, bytes });
  }

  async close(): Promise<void> {
    await this.#weights.close();
  }
}
