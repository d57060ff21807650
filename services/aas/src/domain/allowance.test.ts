import { Failure } from '@roost/core/failure';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';
import { expect, test } from '@jest/globals';
import { charge, checkPeriod, periodOf } from './allowance.ts';

const batch = { tokens: 100, requestHash: Uint8Array.of(1, 2, 3) };
const fresh = { drawn: 0, earlier: undefined, lowestFree: 0 };
const ends = { inMs: 1000 };
const reasonOf = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error instanceof Failure ? { reason: error.reason, ...error.facts } : error;
  }
};

test('a batch is charged once, and the same bytes again for nothing', () => {
  expect(charge(fresh, batch, 5000, ends)).toEqual({ kind: 'charge', drawn: 100 });
  const again = { drawn: 100, earlier: batch.requestHash, lowestFree: 1 };
  expect(charge(again, batch, 100, ends)).toEqual({ kind: 'repeat', drawn: 100 });
});

test('other bytes on a used number hear the lowest free number', () => {
  const used = { drawn: 100, earlier: Uint8Array.of(9), lowestFree: 1 };
  expect(reasonOf(() => charge(used, batch, 5000, ends))).toMatchObject({
    reason: 'BATCH_USED',
    lowestFree: 1,
  });
});

test('the last token of an allowance is drawn, one more is not', () => {
  expect(charge({ ...fresh, drawn: 4900 }, batch, 5000, ends)).toMatchObject({ kind: 'charge' });
  expect(reasonOf(() => charge({ ...fresh, drawn: 4901 }, batch, 5000, ends))).toMatchObject({
    reason: 'ALLOWANCE_EXHAUSTED',
    retryAfterMs: 1000,
  });
});

test('a period is today, or its neighbour within ten minutes of midnight', () => {
  const midnight = 20_000 * DAY_MS;
  expect(() => checkPeriod(20_000, midnight)).not.toThrow();
  expect(() => checkPeriod(19_999, midnight + 9 * MINUTE_MS)).not.toThrow();
  expect(() => checkPeriod(20_001, midnight - 9 * MINUTE_MS + DAY_MS)).not.toThrow();
  expect(() => checkPeriod(19_999, midnight + 11 * MINUTE_MS)).toThrow('period');
  expect(() => checkPeriod(periodOf(midnight) + 2, midnight)).toThrow('period');
});
