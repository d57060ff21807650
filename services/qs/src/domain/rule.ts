import { malformed } from '@roost/core/failure';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';

/** Of which deliveries by a handle a push may tell. It decides about nothing else. */
export type Rule =
  | { readonly kind: 'all' | 'silent' }
  /** Until this minute since 1970; no exact time is kept. */
  | { readonly kind: 'muted'; readonly untilMinute: number };

const AHEAD_MS_MAX = 3_653 * DAY_MS;

/** A rule that ends by itself. One whose time is over already is as good as none. */
export function mutedUntil(untilMs: bigint, nowMs: number): Rule {
  const field = 'muted_until_ms';
  if (untilMs === 0n) throw malformed(field, 'is missing');
  if (untilMs % BigInt(MINUTE_MS) !== 0n) throw malformed(field, 'is not a whole minute');
  if (untilMs > BigInt(nowMs + AHEAD_MS_MAX)) throw malformed(field, 'is too far ahead');
  return { kind: 'muted', untilMinute: Number(untilMs / BigInt(MINUTE_MS)) };
}

/** Whether a push may tell of a delivery now. */
export function tells(rule: Rule, nowMs: number): boolean {
  switch (rule.kind) {
    case 'all':
      return true;
    case 'silent':
      return false;
    case 'muted':
      return nowMs >= rule.untilMinute * MINUTE_MS;
  }
}
