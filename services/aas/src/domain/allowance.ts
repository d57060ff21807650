import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';

/** The classes of tokens, by their numbers in the protobufs. */
export const CLASS_NUMBERS = { general: 2, contact: 3 } as const;
export const BATCH_TOKENS_MAX = 100;
/** Clients whose clock is a little off may draw for the day beside (design §4). */
const TOLERANCE_MS = 10 * MINUTE_MS;

/** What is known of an account, class and period when a batch is asked for. */
export interface Account {
  readonly drawn: number;
  /** The hash of the request that used the batch number before, if one did. */
  readonly earlier: Uint8Array | undefined;
  readonly lowestFree: number;
}

export interface Batch {
  readonly tokens: number;
  readonly requestHash: Uint8Array;
}

export type Charge =
  | { readonly kind: 'charge'; readonly drawn: number }
  | { readonly kind: 'repeat'; readonly drawn: number };

/** The day of a moment, in UTC, as days since 1970. */
export function periodOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}

/** Refuses another period than today's, but for ten minutes around midnight. */
export function checkPeriod(period: number, now: number): void {
  if (periodOf(now - TOLERANCE_MS) <= period && period <= periodOf(now + TOLERANCE_MS)) return;
  throw new Failure('MALFORMED', 'period: is not today', {
    field: 'period',
    serverTimeMs: BigInt(now),
  });
}

/** Decides whether a batch is charged. The same bytes are charged once. */
export function charge(
  account: Account,
  batch: Batch,
  quantity: number,
  ends: { readonly inMs: number },
): Charge {
  if (account.earlier !== undefined) {
    if (equal(account.earlier, batch.requestHash)) return { kind: 'repeat', drawn: account.drawn };
    throw new Failure('BATCH_USED', 'another batch was drawn with this number', {
      field: 'batch_number',
      lowestFree: account.lowestFree,
    });
  }
  if (account.drawn + batch.tokens > quantity) {
    const left = Math.max(0, quantity - account.drawn);
    throw new Failure('ALLOWANCE_EXHAUSTED', `${left} tokens are left in this period`, {
      retryAfterMs: ends.inMs,
    });
  }
  return { kind: 'charge', drawn: account.drawn + batch.tokens };
}
