import { expect, test } from '@jest/globals';
import { uuidOf } from '@roost/core/ids';

import { isPoison, Suspects } from './suspects.ts';

const id = uuidOf(new Uint8Array(16).fill(1));

test('what a peer cannot read is one thing, how it is just now another', () => {
  expect(['MALFORMED', 'TOO_LARGE'].map(isPoison)).toEqual([true, true]);
  const states = ['UNAVAILABLE', 'RATE_LIMITED', 'FEDERATION_DENIED', 'BAD_ENVELOPE', 'CLOCK_SKEW'];
  expect([...states, 'A_REASON_OF_TOMORROW'].map(isPoison)).toEqual(
    Array.from({ length: 6 }, () => false),
  );
});

test('one event that was refused is tried once more, and then given up', () => {
  const suspects = new Suspects();
  expect(suspects.refused(id, 1)).toBe(false);
  expect(suspects.eventsMaxOf(id)).toBe(1);
  expect(suspects.refused(id, 1)).toBe(true);
});

test('of many the bad one is found by halves, and nobody is suspected for long', () => {
  const suspects = new Suspects();
  const sizes: number[] = [];
  for (let events = 64, isOver = false; !isOver; events = suspects.eventsMaxOf(id) ?? 0) {
    sizes.push(events);
    isOver = suspects.refused(id, events);
  }
  expect(sizes).toEqual([64, 32, 16, 8, 4, 2, 1]);
  suspects.cleared(id);
  expect(suspects.eventsMaxOf(id)).toBeUndefined();
  expect(suspects.ids).toEqual([]);
});
