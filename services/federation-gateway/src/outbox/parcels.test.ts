import { expect, test } from '@jest/globals';
import { type Uuid, uuidOf } from '@roost/core/ids';

import { packParcels } from './parcels.ts';
import type { OutboxRow } from './store/rows.ts';

const limits = { parcelsMax: 3, rowsMax: 4, parcelBytesMax: 100, bytesMax: 150 };
const group = (n: number): Uuid => uuidOf(new Uint8Array(16).fill(n));
const pair = (n: number) => ({ incarnation: 1, n: BigInt(n) });
const row = (of: number, n: number, bytes = 10): OutboxRow => ({
  ...{ id: group(of), kind: 'event', number: pair(n), prev: pair(n - 1) },
  sealed: new Uint8Array(bytes),
});
const packed = (rows: readonly OutboxRow[]) =>
  packParcels(rows, limits).map(({ id, rows: those }) => [
    [1, 2, 3, 4].find((n) => group(n) === id),
    ...those.map(({ number }) => Number(number.n)),
  ]);

test('several groups go side by side, each from its beginning and in its order', () => {
  const rows = [row(1, 1), row(2, 5), row(1, 2), row(3, 9), row(4, 1), row(2, 7), row(2, 6)];
  expect(packed(rows)).toEqual([
    [1, 1, 2],
    [2, 5, 6, 7],
    [3, 9],
  ]);
});

test('no parcel has more rows than may be, nor more bytes, but for a first row that is larger', () => {
  expect(packed([1, 2, 3, 4, 5].map((n) => row(1, n)))).toEqual([[1, 1, 2, 3, 4]]);
  expect(packed([row(1, 1, 60), row(1, 2, 60)])).toEqual([[1, 1]]);
  expect(packed([row(1, 1, 400), row(1, 2), row(2, 1)])).toEqual([[1, 1]]);
});

test('a call has no more bytes than may be: what does not fit goes with the next', () => {
  expect(packed([row(1, 1, 90), row(2, 1, 40), row(2, 2, 40), row(3, 1, 10)])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  expect(packed([row(1, 1, 90), row(2, 1, 70), row(3, 1, 10)])).toEqual([[1, 1]]);
});
