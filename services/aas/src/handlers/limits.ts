import { toHex } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { type Domain, parseDomain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import {
  type LimitInternalServiceDefinition,
  type NarrowBucket,
  NarrowKind,
} from '@roost/proto/roost/tokens/v1/limits';
import type { Limiter } from '@roost/rpc/address-limit';
import type { Handlers } from '@roost/rpc/service';
import { type FederatedBuckets, rampedBucket } from '../domain/federated-buckets.ts';

export interface LimitPorts {
  readonly clock: Clock;
  readonly limiter: Limiter;
  readonly buckets: FederatedBuckets;
}

const NARROW_MAX = 1_024;
const COST_MAX = 1_000_000;
const TAG_BYTES = 32;
const KINDS = {
  [NarrowKind.GROUP]: 'group',
  [NarrowKind.QUEUE]: 'queue',
  [NarrowKind.CALL]: 'call',
} as const;

/**
 * Counts what other homeservers do. The narrow bucket is asked first: what it refuses takes nothing from
 * the one that all users of the homeserver share.
 */
export function limitHandlers(ports: LimitPorts): Handlers<typeof LimitInternalServiceDefinition> {
  return {
    async takeFederated({ domain: text, firstMetMs, narrow }) {
      const domain = parseDomain(text);
      if (narrow.length === 0 || narrow.length > NARROW_MAX) {
        throw malformed('narrow', `has not 1 to ${NARROW_MAX} entries`);
      }
      const wanted = narrow.map(parseNarrow);
      const knownMs = ports.clock.now() - Number(firstMetMs);
      const taken = wanted.map(async (each) => await takeOne(ports, domain, knownMs, each));
      return { retryAfterMs: await Promise.all(taken) };
    },
  };
}

type Wanted = ReturnType<typeof parseNarrow>;

function parseNarrow({ kind, tag, cost }: NarrowBucket) {
  if (kind === NarrowKind.UNSPECIFIED) throw malformed('narrow.kind', 'is not set');
  if (tag.length !== TAG_BYTES) throw malformed('narrow.tag', 'is not 32 bytes long');
  if (cost === 0 || cost > COST_MAX) throw malformed('narrow.cost', 'is not 1 to 1,000,000');
  return { name: KINDS[kind], tag: toHex(tag), cost };
}

/** 0 where it was taken, else when to come back. */
async function takeOne(
  { limiter, buckets }: LimitPorts,
  domain: Domain,
  knownMs: number,
  { name, tag, cost }: Wanted,
): Promise<number> {
  const take = async (key: string, bucket: FederatedBuckets['domain']): Promise<number> => {
    const taken = await limiter.take(`federated.${domain}.${key}`, cost, bucket);
    if (taken.ok) return 0;
    if ('retryAfterMs' in taken)
      return Math.min(2 ** 32 - 1, Math.max(1, Math.ceil(taken.retryAfterMs)));
    throw new Failure('UNAVAILABLE', 'nobody can count at the moment', { retryAfterMs: AWAY_MS });
  };
  const ms = await take(`${name}.${tag}`, buckets[name]);
  // What a queue gets was counted as its group's already.
  if (ms > 0 || name === 'queue') return ms;
  return await take('all', rampedBucket(buckets.domain, knownMs));
}

const AWAY_MS = 2_000;
