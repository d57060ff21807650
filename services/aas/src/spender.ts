import { traceHere, untraced, within, type Trace } from '@roost/bus/trace';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Database } from '@roost/postgres/database';
import * as store from './store.ts';

export interface Spending {
  readonly keyNumber: number;
  readonly nonce: Uint8Array;
  /** Aborted when nobody waits any more: then the token is not spent. */
  readonly signal: AbortSignal;
}

interface Waiting extends Spending {
  /** A batch is shown in the trace of its first. */
  readonly trace: Trace;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const BATCH_MAX = 512;
const WAITING_MAX = 10_000;
const BATCHES_AT_ONCE = 2;

/**
 * Spends tokens for many requests in one insert: what comes in while an insert is under way goes with
 * the next. The unique index alone decides who spends a token, over all replicas.
 */
export class Spender {
  readonly #database: Database;
  #waiting: Waiting[] = [];
  #running = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Resolves when the token is spent by this call, durably; `TOKEN_SPENT` where it was before. */
  async spend(spending: Spending): Promise<void> {
    if (this.#waiting.length >= WAITING_MAX) {
      throw new Failure('RATE_LIMITED', 'too many requests at once', { retryAfterMs: 1000 });
    }
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ ...spending, trace: traceHere(), resolve, reject });
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#running < BATCHES_AT_ONCE && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_MAX);
      this.#running++;
      // Whatever happens is told to those who wait.
      const run = within(batch[0]?.trace ?? untraced, () => this.#run(batch));
      void run.finally(() => {
        this.#running--;
        this.#pump();
      });
    }
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    const first = new Map<string, Waiting>();
    for (const waiting of batch) {
      const key = keyOf(waiting.keyNumber, waiting.nonce);
      if (waiting.signal.aborted) {
        waiting.reject(tooLate());
      } else if (first.has(key)) waiting.reject(spentBefore());
      else first.set(key, waiting);
    }
    if (first.size === 0) return;

    const late: Waiting[] = [];
    try {
      const rows = [...first.values()].map(rowOf);
      const spent = await store.spend(this.#database, rows);
      const won = new Set(spent.map((row) => keyOf(row.key_number, row.nonce)));
      for (const [key, waiting] of first) {
        if (!won.has(key)) waiting.reject(spentBefore());
        else if (waiting.signal.aborted) late.push(waiting);
        else waiting.resolve();
      }
    } catch (error) {
      await this.#runApart([...first.values()], error);
    }
    if (late.length > 0) await this.#giveBack(late);
  }

  /** Where a key was forgotten while its tokens were on their way, those of other keys are none the worse. */
  async #runApart(batch: readonly Waiting[], error: unknown): Promise<void> {
    const ofKey = Map.groupBy(batch, ({ keyNumber }) => keyNumber);
    const isForgotten = store.isForgottenKey(error);
    if (isForgotten && ofKey.size > 1) {
      for (const those of ofKey.values()) await this.#run(those);
      return;
    }
    const why = isForgotten
      ? new Failure('TOKEN_INVALID', 'the key of this token is not in use')
      : error;
    for (const waiting of batch) waiting.reject(why);
  }

  /**
   * What was spent for calls that nobody waits for any more: they are refused in any case, so that the
   * row is ours alone, and without it the token is good again.
   */
  async #giveBack(late: readonly Waiting[]): Promise<void> {
    try {
      await store.unspend(this.#database, late.map(rowOf));
      for (const waiting of late) waiting.reject(tooLate());
    } catch (error) {
      for (const waiting of late) waiting.reject(error);
    }
  }
}

function keyOf(keyNumber: number, nonce: Uint8Array): string {
  return `${keyNumber}/${toHex(nonce)}`;
}

function spentBefore(): Failure {
  return new Failure('TOKEN_SPENT', 'this token was spent before');
}

function tooLate(): Failure {
  return new Failure('UNAVAILABLE', 'the request ended before its token was spent');
}

function rowOf({ keyNumber, nonce }: Spending): [number, Uint8Array] {
  return [keyNumber, nonce];
}
