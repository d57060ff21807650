import { expect, test } from '@jest/globals';
import { inPieces } from './pieces.ts';

const item = (length: number) => ({ ciphertext: new Uint8Array(length) });
const lengthsOf = (lengths: readonly number[]) =>
  inPieces(lengths.map(item), 10).map((piece) => piece.map(({ ciphertext }) => ciphertext.length));

test('a list is cut where a piece would hold too much, in its order', () => {
  expect(lengthsOf([])).toEqual([[]]);
  expect(lengthsOf([4, 6, 1])).toEqual([[4, 6], [1]]);
  expect(lengthsOf([11, 1, 30])).toEqual([[11], [1], [30]]);
});
