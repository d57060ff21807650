import { createHash } from 'node:crypto';

import { Failure } from '@roost/core/failure';
import { LimiterAway, type Rule } from '@roost/proto/roost/access/v1/access';

import { limiterAway } from './observe.ts';

/** Token buckets by key; the shape of the port in `@roost/bus`. */
export interface Limiter {
  take(key: string, cost: number, bucket: Bucket): Promise<Taken>;
}

export interface Bucket {
  readonly capacity: number;
  readonly refillPerSecond: number;
}

/** Taken; too much was asked for; or nobody could count it. */
export type Taken =
  | { readonly ok: true }
  | { readonly ok: false; readonly retryAfterMs: number }
  | { readonly ok: false; readonly isAway: true };

/** What one address may ask for without a token, where nothing else is said. */
export const EXEMPT_BUCKET: Bucket = { capacity: 120, refillPerSecond: 2 };

/**
 * Charges a call that costs no token to the address that it came from: the same in one process and
 * for the edge, so that both count with the same buckets. Where the limiter is away the method's rule
 * decides.
 */
export async function limitAddress(
  limiter: Limiter,
  address: string,
  rule: Rule,
  bucket = EXEMPT_BUCKET,
): Promise<void> {
  const taken = await limiter.take(addressKey(address), 1, bucket);
  if (taken.ok) return;
  if ('retryAfterMs' in taken) {
    throw tooManyCalls(taken.retryAfterMs);
  }
  const isPassed = rule.limiterAway === LimiterAway.PASS;
  limiterAway(isPassed ? 'passed' : 'refused');
  if (isPassed) return;
  throw new Failure('UNAVAILABLE', 'calls cannot be counted at the moment: try again', {
    retryAfterMs: AWAY_RETRY_MS,
  });
}

const AWAY_RETRY_MS = 2_000;

/** What an address hears that asks too often; the edge's own limit says the same. */
export function tooManyCalls(retryAfterMs: number): Failure {
  return new Failure('RATE_LIMITED', 'too many calls from this address', { retryAfterMs });
}

/** A key that does not show the address; of IPv6 the /64, which is what one subscriber has. */
export function addressKey(address: string): string {
  return `address.${createHash('sha256').update(subscriberOf(address)).digest('hex').slice(0, 32)}`;
}

function subscriberOf(address: string): string {
  // Also of IPv4 as IPv6 writes it, `::ffff:192.0.2.1`.
  if (address.includes('.')) return address.replace(/^.*:/, '');
  const groups = expanded(address).slice(0, 4);
  return groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, '')).join(':');
}

function expanded(address: string): string[] {
  const [left = '', right = ''] = address.split('%')[0]?.split('::') ?? [];
  const head = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return [...head, ...zeros, ...tail];
}
