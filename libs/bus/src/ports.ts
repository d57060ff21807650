/**
 * The ports between our services. Each has two forms: in one process (`memory.ts`), and over NATS
 * or Redis. None of them holds anything that must not be lost.
 */

/** Carries batches of events from the DS to the QS; at least once, in no promised order. */
export interface Bus {
  /**
   * Hands a batch to whoever serves, and waits for its answer. Fails with `UNAVAILABLE` where nobody
   * serves, the time is up or too much waits already: the sender keeps what it sent and tries again.
   */
  request(partition: number, batch: Uint8Array, options: RequestOptions): Promise<Uint8Array>;
  /** The handler may be called many times at once. Closing waits for the calls that run. */
  serve(handler: (batch: Uint8Array) => Promise<Uint8Array>): { close(): Promise<void> };
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Hints that there is something to read. A ring may be lost, or come without reason. */
export interface Bell {
  ring(key: string): void;
  listen(key: string, wake: () => void): { close(): void };
  /** Whether somebody listens, in whichever process. */
  isHeard(key: string): Promise<boolean>;
}

/** Token buckets, shared by all replicas. What they count may vanish. */
export interface Limiter {
  take(
    key: string,
    cost: number,
    bucket: { readonly capacity: number; readonly refillPerSecond: number },
  ): Promise<Taken>;
}

/**
 * Taken; too much was asked for; or nobody could count it: never an error, as the rule of a method
 * says what then becomes of a call.
 */
export type Taken =
  | { readonly ok: true }
  | { readonly ok: false; readonly retryAfterMs: number }
  | { readonly ok: false; readonly isAway: true };
