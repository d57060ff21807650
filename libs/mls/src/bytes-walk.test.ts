import { expect, test } from '@jest/globals';
import { Walk } from './bytes-walk.ts';
import { failureOf } from './testing-scene.ts';

test('a list does not end behind what it is in, even if its entries would', () => {
  const opaques = (walk: Walk) => walk.list(9, () => walk.opaque());

  expect(refusalOf([5, 1, 7, 1, 7], opaques)).toBe('it does not decode: it ends too early');
  expect(refusalOf([0xbf, 0xff, 0xff, 0xff, 0], opaques)).toContain('ends too early');
  // The inner list would take the byte behind the outer one.
  const lists = (walk: Walk) => walk.list(9, () => opaques(walk));
  expect(refusalOf([2, 2, 0, 0], lists)).toBe('it does not decode: it ends too early');
  expect(refusalOf([3, 2, 0, 0], lists)).toBeUndefined();
});

test('an entry does not end behind its list', () => {
  const words = (walk: Walk) => walk.list(9, () => walk.skip(2));

  expect(refusalOf([3, 1, 1, 1, 1], words)).toBe('it does not decode: it ends too early');
  expect(refusalOf([2, 1, 1], words)).toBeUndefined();
});

test('the entries of all lists count together', () => {
  const bytes = (walk: Walk) => walk.list(9, () => walk.skip(1));
  const two = (walk: Walk) => {
    bytes(walk);
    bytes(walk);
  };

  expect(refusalOf([5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0], two)).toBeUndefined();
  expect(refusalOf([6, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0], two)).toContain('too many entries');
});

test('numbers are read to their last byte', () => {
  const numbers: number[] = [];
  const walk = new Walk(Uint8Array.of(0xff, 0xfe, 7), { what: 'it', entriesMax: 0 });
  numbers.push(walk.number(2), walk.number(1));

  expect(numbers).toEqual([0xfffe, 7]);
  expect(walk.at).toBe(3);
  expect(failureOf(() => walk.number(1)).reason).toBe('INVALID_MLS');
});

function refusalOf(bytes: readonly number[], shape: (walk: Walk) => void): string | undefined {
  const walk = new Walk(Uint8Array.from(bytes), { what: 'it', entriesMax: 10 });
  try {
    shape(walk);
    walk.end();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'thrown';
  }
}
