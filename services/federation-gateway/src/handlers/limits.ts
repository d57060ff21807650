import { Failure } from '@roost/core/failure';
import {
  type LimitInternalServiceDefinition,
  NarrowKind,
} from '@roost/proto/roost/tokens/v1/limits';
import type { Client } from '@roost/rpc/call';
import type { Limits } from '../limits.ts';

/** Where no group is concerned. */
const NO_GROUP = new Uint8Array(32);

/** Counts by the AAS, where all replicas count together. */
export function limitsBy({
  takeFederated,
}: Pick<Client<typeof LimitInternalServiceDefinition>, 'takeFederated'>): Limits {
  return {
    async take({ domain, firstMetMs }, { kind, groupTag, cost }) {
      const tag = groupTag.length === 0 ? NO_GROUP : groupTag;
      const narrow = [{ kind: kind === 'group' ? NarrowKind.GROUP : NarrowKind.CALL, tag, cost }];
      const { retryAfterMs } = await takeFederated({
        ...{ domain, firstMetMs: BigInt(firstMetMs), narrow },
      });
      const [ms = 0] = retryAfterMs;
      if (ms === 0) return;
      throw new Failure('RATE_LIMITED', `${domain} asks for too much`, { retryAfterMs: ms });
    },
  };
}
