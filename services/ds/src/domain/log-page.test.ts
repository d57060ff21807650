import { expect, test } from '@jest/globals';
import { cutPage, isWhole, pageStart } from './log-page.ts';

const row = (epoch: bigint, isCommit: boolean, size = 10) => ({ epoch, isCommit, size });

test('a page ends between epochs', () => {
  const rows = [row(1n, true), row(2n, false), row(2n, true), row(3n, true)];
  expect(cutPage(rows, 25)).toEqual({ rows: rows.slice(0, 1), hasMore: true });
  expect(cutPage(rows, 30)).toEqual({ rows: rows.slice(0, 3), hasMore: true });
  expect(cutPage(rows, 40)).toEqual({ rows, hasMore: false });
});

test('one epoch is given whole, however large', () => {
  const rows = [row(1n, false, 60), row(1n, true, 60), row(2n, true)];
  expect(cutPage(rows, 50)).toEqual({ rows: rows.slice(0, 2), hasMore: true });
});

test('the last epoch may be without its commit, unless the list was cut', () => {
  const rows = [row(1n, true), row(2n, false)];
  expect(cutPage(rows, 100)).toEqual({ rows, hasMore: false });
  expect(cutPage(rows, 100, true)).toEqual({ rows: rows.slice(0, 1), hasMore: true });
});

test('nobody reads of before it joined', () => {
  expect(pageStart(3n, 5n)).toBe(5n);
  expect(pageStart(7n, 5n)).toBe(7n);
});

test('a log that was swept does not pass for a whole one', () => {
  expect(isWhole([row(4n, true)], 4n, 5n)).toBe(true);
  expect(isWhole([row(5n, false)], 5n, 5n)).toBe(true);
  expect(isWhole([], 5n, 5n)).toBe(true);
  expect(isWhole([row(4n, true)], 3n, 5n)).toBe(false);
  expect(isWhole([], 3n, 5n)).toBe(false);
});
