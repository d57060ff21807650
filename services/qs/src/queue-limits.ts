import type { Domain } from '@roost/core/ids';

/** What one group of another homeserver has for one queue. */
export interface QueueShare {
  /** 32 bytes that stand for the queue, as nobody else calls it. */
  readonly tag: Uint8Array;
  readonly cost: number;
}

/** Counts what other hubs deliver to each queue. */
export interface QueueLimits {
  /** Which of them may be stored, in their order; `UNAVAILABLE` where nobody can count. */
  take(source: Domain, shares: readonly QueueShare[]): Promise<readonly boolean[]>;
}
