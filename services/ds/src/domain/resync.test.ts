import { expect, test } from '@jest/globals';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { countResync } from './resync.ts';

const noon = 20_000 * DAY_MS + 12 * HOUR_MS;

test('resyncs are counted by the day', () => {
  const first = countResync({ day: 0, count: 0 }, noon, 2);
  expect(first).toEqual({ day: 20_000, count: 1 });
  const second = countResync(first, noon + HOUR_MS, 2);
  expect(second).toEqual({ day: 20_000, count: 2 });
  expect(countResync(second, noon + DAY_MS, 2)).toEqual({ day: 20_001, count: 1 });
});

test('one too many waits until the day is over', () => {
  const refused = (): unknown => countResync({ day: 20_000, count: 2 }, noon, 2);
  expect(refused).toThrow(
    expect.objectContaining({ reason: 'RATE_LIMITED', facts: { retryAfterMs: 12 * HOUR_MS } }),
  );
});
