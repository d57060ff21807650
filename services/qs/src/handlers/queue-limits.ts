import type { Domain } from '@roost/core/ids';
import {
  type LimitInternalServiceDefinition,
  NarrowKind,
} from '@roost/proto/roost/tokens/v1/limits';
import type { Client } from '@roost/rpc/call';
import type { QueueLimits, QueueShare } from '../queue-limits.ts';

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
