import { comparePairs } from '@roost/bus/frames';
import type { Uuid } from '@roost/core/ids';

import type { OutboxRow } from './store/rows.ts';

/** Rows of one group that go together. */
export interface Parcel {
  readonly id: Uuid;
  readonly rows: readonly OutboxRow[];
}

export interface ParcelLimits {
  readonly parcelsMax: number;
  readonly rowsMax: number;
  readonly parcelBytesMax: number;
  readonly bytesMax: number;
}

/**
 * What one call carries of the rows that wait, group by group, those that wait longest first. The first row of a group goes
 * whatever its size, and the first group goes at any rate; of each group it is a beginning.
 */
export function packParcels(rows: readonly OutboxRow[], limits: ParcelLimits): Parcel[] {
  const parcels: Parcel[] = [];
  let bytes = 0;
  for (const [id, those] of Map.groupBy(rows, (row) => row.id)) {
    if (parcels.length === limits.parcelsMax) break;
    const most = Math.min(limits.parcelBytesMax, limits.bytesMax - bytes);
    const parcel = { id, rows: beginningOf(those, limits.rowsMax, most) };
    const size = sizeOf(parcel.rows);
    if (parcels.length > 0 && bytes + size > limits.bytesMax) break;
    parcels.push(parcel);
    bytes += size;
  }
  return parcels;
}

function beginningOf(
  rows: readonly OutboxRow[],
  rowsMax: number,
  bytesMax: number,
): readonly OutboxRow[] {
  const inOrder = rows.toSorted((a, b) => comparePairs(a.number, b.number));
  let bytes = 0;
  const end = inOrder.findIndex((row, at) => {
    bytes += row.sealed.length;
    return at > 0 && (at === rowsMax || bytes > bytesMax);
  });
  return end === -1 ? inOrder : inOrder.slice(0, end);
}

export function sizeOf(rows: readonly OutboxRow[]): number {
  return rows.reduce((sum, { sealed }) => sum + sealed.length, 0);
}
