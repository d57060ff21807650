import { expect, test } from '@jest/globals';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';
import { mutedUntil, tells } from './rule.ts';

const now = 1_000_000 * MINUTE_MS + 17;
const minute = (n: number): bigint => BigInt((1_000_000 + n) * MINUTE_MS);

test('all tells, silent never does', () => {
  expect(tells({ kind: 'all' }, now)).toBe(true);
  expect(tells({ kind: 'silent' }, now)).toBe(false);
});

test('muted tells again from its minute on, by the clock alone', () => {
  const rule = mutedUntil(minute(2), now);
  expect(tells(rule, Number(minute(2)) - 1)).toBe(false);
  expect(tells(rule, Number(minute(2)))).toBe(true);
});

test('a time that is over already mutes nothing', () => {
  expect(tells(mutedUntil(minute(-5), now), now)).toBe(true);
});

test.each([
  [0n, 'missing'],
  [minute(2) + 1n, 'whole minute'],
  [BigInt(Math.floor((now + 3_654 * DAY_MS) / MINUTE_MS) * MINUTE_MS), 'too far'],
  [2n ** 64n - 1n, 'whole minute'],
])('%d is no time to mute until', (untilMs, words) => {
  expect(() => mutedUntil(untilMs, now)).toThrow(words);
});
