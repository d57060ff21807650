import { expect, test } from '@jest/globals';
import { OutboxAge } from './outbox-age.ts';

test('an outbox that is emptied has no age', () => {
  const age = new OutboxAge();
  expect(age.note(0, undefined, 0n)).toBe(0);
  expect(age.note(10_000, 5n, 9n)).toBe(0);
  expect(age.note(20_000, undefined, 9n)).toBe(0);
});

test('the age is that of the oldest row since it was first seen, however many come behind it', () => {
  const age = new OutboxAge();
  age.note(0, undefined, 4n);
  expect(age.note(10_000, 5n, 9n)).toBe(0);
  expect(age.note(20_000, 5n, 30n)).toBe(10_000);
  expect(age.note(30_000, 9n, 30n)).toBe(20_000);
  expect(age.note(40_000, 10n, 30n)).toBe(20_000);
  expect(age.note(50_000, 31n, 40n)).toBe(0);
});

test('what waited when we began counts from then on, for as long as it waits', () => {
  const age = new OutboxAge();
  expect(age.note(1_000, 7n, 7n)).toBe(0);
  for (let at = 2; at < 5_000; at++) age.note(at * 1_000, 7n, BigInt(at + 6));
  expect(age.note(5_000_000, 7n, 6_000n)).toBe(4_999_000);
});
