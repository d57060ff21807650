import type { Domain } from '@roost/core/ids';
import {
  type LimitInternalServiceDefinition,
  NarrowKind,
} from '@roost/proto/roost/tokens/v1/limits';
import type { Client } from '@roost/rpc/call';

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

/** Counts by the AAS, where all replicas count together. */
export function queueLimitsBy({
  takeFederated,
}: Pick<Client<typeof LimitInternalServiceDefinition>, 'takeFederated'>): QueueLimits {
  const ask = async (domain: Domain, shares: readonly QueueShare[]): Promise<boolean[]> => {
    const narrow = shares.map((share) => ({ kind: NarrowKind.QUEUE, ...share }));
    // A queue's bucket is the same from the first day on: the group's, at the gateway, begins small.
    const { retryAfterMs } = await takeFederated({ domain, firstMetMs: 0n, narrow });
    return shares.map((_, at) => retryAfterMs[at] === 0);
  };
  return {
    async take(source, shares) {
      const asked: Promise<boolean[]>[] = [];
      for (let at = 0; at < shares.length; at += SHARES_MAX) {
        asked.push(ask(source, shares.slice(at, at + SHARES_MAX)));
      }
      return (await Promise.all(asked)).flat();
    },
  };
}

/** As many as the AAS takes at once. */
const SHARES_MAX = 1_024;
