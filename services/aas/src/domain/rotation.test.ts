import { DAY_MS } from '@roost/core/time';
import { expect, test } from '@jest/globals';
import { ISSUES_MS, missingWindows, stateOf, type KeyWindow } from './rotation.ts';

const NOW = 1_800_000_000_000;

test('the first start makes a key that issues and one that is announced', () => {
  const windows = missingWindows([], NOW);
  expect(windows.map((window) => stateOf(window, NOW))).toEqual(['current', 'next']);
  expect(windows[1]?.issuesFrom).toBe(windows[0]?.issuesUntil);
});

test('nothing is missing where both are there', () => {
  expect(missingWindows(missingWindows([], NOW), NOW)).toEqual([]);
});

test('over a year of days there is always exactly one that issues, and old tokens live a day longer', () => {
  let windows: readonly KeyWindow[] = [];
  for (let day = 0; day < 365; day++) {
    const now = NOW + day * DAY_MS;
    windows = [...windows, ...missingWindows(windows, now)];
    const states = windows.map((window) => stateOf(window, now));
    expect(states.filter((state) => state === 'current')).toHaveLength(1);
    expect(states.filter((state) => state === 'next')).toHaveLength(1);
    expect(states.filter((state) => state === 'previous').length).toBeLessThanOrEqual(1);
    if (day % 7 === 0 && day > 0) expect(states).toContain('previous');
  }
});

test('after a long pause a key begins at once', () => {
  const now = NOW + 10 * ISSUES_MS;
  const [current] = missingWindows(missingWindows([], NOW), now);
  expect(current?.issuesFrom).toBe(now);
});
