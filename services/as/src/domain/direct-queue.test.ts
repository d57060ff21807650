import { expect, test } from '@jest/globals';
import { acknowledged, checkRoom } from './direct-queue.ts';

const limits = { messagesMax: 3n, bytesMax: 100n };
const queue = { next: 7n, first: 5n, queuedBytes: 60n };

test('a queue takes messages up to its count and bytes', () => {
  expect(() => checkRoom(queue, 40, limits)).not.toThrow();
  expect(() => checkRoom(queue, 41, limits)).toThrow('takes no more');
  expect(() => checkRoom({ ...queue, next: 8n }, 1, limits)).toThrow('takes no more');
});

test('an acknowledgement moves forward only, and not beyond the end', () => {
  expect(acknowledged(queue, 6n)).toBe(6n);
  expect(acknowledged(queue, 7n)).toBe(7n);
  expect(acknowledged(queue, 2n)).toBe(5n);
  expect(() => acknowledged(queue, 8n)).toThrow('never given out');
});
