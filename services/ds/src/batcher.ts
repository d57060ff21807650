import { traceHere, untraced, within, type Trace } from '@roost/bus/trace';
import { Failure } from '@roost/core/failure';

export interface BatcherOptions<Item> {
  /** How many batches may be under way at once. */
  readonly lanes: number;
  readonly itemsMax: number;
  readonly bytesMax: number;
  readonly waitingMax: number;
  readonly sizeOf: (item: Item) => number;
  readonly onSplit: (items: number, error: unknown) => void;
}

interface Waiting<Item, Outcome> {
  readonly item: Item;
  /** It was in a batch that failed, and is tried once more by itself. */
  readonly alone: boolean;
  /** Of whoever submitted it: a batch is shown in the trace of its first. */
  readonly trace: Trace;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Concurrent requests share transactions: what arrives while the lanes are busy goes together, and
 * what arrives at an idle process goes at once. Where a batch fails, each of it is run again alone,
 * so that one cannot spoil the others.
 */
export class Batcher<Item, Outcome> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Outcome[]>;
  readonly #options: BatcherOptions<Item>;
  #waiting: Waiting<Item, Outcome>[] = [];
  #busy = 0;

  constructor(
    run: (items: readonly Item[]) => Promise<readonly Outcome[]>,
    options: BatcherOptions<Item>,
  ) {
    this.#run = run;
    this.#options = options;
  }

  async submit(item: Item): Promise<Outcome> {
    if (this.#waiting.length >= this.#options.waitingMax) {
      throw new Failure('RATE_LIMITED', 'too much waits to be stored', {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    return await new Promise<Outcome>((resolve, reject) => {
      this.#waiting.push({ item, alone: false, trace: traceHere(), resolve, reject });
      // After all of this turn of the event loop: what came in one packet goes together.
      setImmediate(() => this.#start());
    });
  }

  #start(): void {
    while (this.#busy < this.#options.lanes && this.#waiting.length > 0) {
      const batch = this.#take();
      this.#busy++;
      void this.#settle(batch).finally(() => {
        this.#busy--;
        this.#start();
      });
    }
  }

  #take(): Waiting<Item, Outcome>[] {
    const { itemsMax, bytesMax, sizeOf } = this.#options;
    const first = this.#waiting[0];
    if (first?.alone === true) return this.#waiting.splice(0, 1);
    let count = 0;
    let bytes = 0;
    for (const { item, alone } of this.#waiting) {
      bytes += sizeOf(item);
      if (alone || count === itemsMax || (count > 0 && bytes > bytesMax)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #settle(batch: readonly Waiting<Item, Outcome>[]): Promise<void> {
    try {
      const items = batch.map(({ item }) => item);
      const outcomes = await within(batch[0]?.trace ?? untraced, () => this.#run(items));
      for (const [at, waiting] of batch.entries()) {
        const outcome = outcomes[at];
        if (outcome === undefined)
          waiting.reject(new Error('a batch left an item without outcome'));
        else waiting.resolve(outcome);
      }
    } catch (error) {
      if (batch.length === 1) {
        for (const { reject } of batch) reject(error);
        return;
      }
      this.#options.onSplit(batch.length, error);
      this.#waiting.unshift(...batch.map((waiting) => ({ ...waiting, alone: true })));
    }
  }
}

const RETRY_AFTER_MS = 1_000;
