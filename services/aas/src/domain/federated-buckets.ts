import { DAY_MS } from '@roost/core/time';

/** What may be taken at once, and how it comes back. */
export interface FederatedBucket {
  readonly capacity: number;
  readonly refillPerSecond: number;
}

/** What another homeserver may do; `domain` is for all that its users and groups do together. */
export interface FederatedBuckets {
  readonly domain: FederatedBucket;
  readonly group: FederatedBucket;
  readonly queue: FederatedBucket;
  readonly call: FederatedBucket;
}

export const FEDERATED_BUCKETS: FederatedBuckets = {
  domain: { capacity: 20_000, refillPerSecond: 2_000 },
  group: { capacity: 500, refillPerSecond: 50 },
  queue: { capacity: 500, refillPerSecond: 50 },
  call: { capacity: 200, refillPerSecond: 20 },
};

/** A homeserver that was met today has a sixteenth; it doubles every day. */
const FIRST_PART = 16;

/** The bucket of a homeserver by how long it has been known: a new one starts slowly. */
export function rampedBucket(
  { capacity, refillPerSecond }: FederatedBucket,
  knownMs: number,
): FederatedBucket {
  const days = Math.floor(Math.max(0, knownMs) / DAY_MS);
  const part = Math.min(1, 2 ** days / FIRST_PART);
  return {
    capacity: Math.max(1, Math.floor(capacity * part)),
    refillPerSecond: refillPerSecond * part,
  };
}
