import { expect, test } from '@jest/globals';
import { cutParts } from './parts.ts';

const limits = { recipientsMax: 256, bytesMax: 384 * 1024 };
const many = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, at) => ({ at, extra: new Uint8Array(bytes) }));

test('a shared event is cut by the number of recipients, and nobody is left out', () => {
  const recipients = many(600, 0);
  const parts = cutParts(recipients, limits);
  expect(parts.map((part) => part.length)).toEqual([256, 256, 88]);
  expect(parts.flat()).toEqual(recipients);
});

test('events of their own are cut by bytes, and one recipient never', () => {
  expect(cutParts(many(3, 200 * 1024), limits).map((part) => part.length)).toEqual([1, 1, 1]);
  expect(cutParts(many(2, 500 * 1024), limits).map((part) => part.length)).toEqual([1, 1]);
  expect(cutParts(many(5, 100 * 1024), limits).map((part) => part.length)).toEqual([3, 2]);
});

test('nobody gets no part', () => {
  expect(cutParts([], limits)).toEqual([]);
});
