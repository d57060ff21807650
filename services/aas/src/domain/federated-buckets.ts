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

/** What comes back a second, of each. */
export type FederatedRates = Readonly<Record<keyof FederatedBuckets, number>>;

export const FEDERATED_RATES: FederatedRates = { domain: 2_000, group: 50, queue: 50, call: 20 };
/** A batch for a queue is of 64 events: its bucket holds more than that. */
export const QUEUE_RATE_MIN = 10;

/** What comes in ten seconds may come at once. */
export function federatedBuckets({ domain, group, queue, call }: FederatedRates): FederatedBuckets {
  return {
    ...{ domain: bucketOf(domain), group: bucketOf(group) },
    ...{ queue: bucketOf(queue), call: bucketOf(call) },
  };
}

function bucketOf(refillPerSecond: number): FederatedBucket {
  return { capacity: BURST_SECONDS * refillPerSecond, refillPerSecond };
}

const BURST_SECONDS = 10;

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
