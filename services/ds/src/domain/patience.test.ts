import { expect, test } from '@jest/globals';
import { Patience } from './patience.ts';

test('it is a few times of what the receiver took lately, between its bounds', () => {
  const patience = new Patience(2_000, 30_000);
  expect(patience.ms).toBe(2_000);
  patience.answered(3_000);
  expect(patience.ms).toBe(12_000);
  for (let round = 0; round < 30; round++) patience.answered(10);
  expect(patience.ms).toBe(2_000);
  patience.answered(20_000);
  expect(patience.ms).toBe(30_000);
});

test('it doubles where it was too short, once for all who waited at the same time', () => {
  const patience = new Patience(2_000, 30_000);
  for (let partition = 0; partition < 16; partition++) patience.unanswered(2_000);
  expect(patience.ms).toBe(4_000);
  for (let round = 0; round < 5; round++) patience.unanswered(patience.ms);
  expect(patience.ms).toBe(30_000);
});
