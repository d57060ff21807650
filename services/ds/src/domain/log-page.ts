import { assert } from '@roost/core/assert';

export interface LogRow {
  readonly epoch: bigint;
  readonly isCommit: boolean;
  readonly size: number;
}

export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly hasMore: boolean;
}

/**
 * Cuts a page off the log: whole epochs, and one at least, so that whoever reads gets on and never
 * has half an epoch. `rows` begin with an epoch. They end with the log, where the last epoch may be
 * without its commit, or somewhere (`isListCut`).
 */
export function cutPage<Row extends LogRow>(
  rows: readonly Row[],
  bytesMax: number,
  isListCut = false,
): Page<Row> {
  let bytes = 0;
  let end = 0;
  for (const [at, row] of rows.entries()) {
    bytes += row.size;
    if (bytes > bytesMax && end > 0) return { rows: rows.slice(0, end), hasMore: true };
    if (row.isCommit) end = at + 1;
  }
  return isListCut ? { rows: rows.slice(0, end), hasMore: true } : { rows, hasMore: false };
}

/** Where an answer begins: not before the caller joined, nor where nothing is kept any more. */
export function pageStart(fromEpoch: bigint, joinedEpoch: bigint): bigint {
  return fromEpoch > joinedEpoch ? fromEpoch : joinedEpoch;
}

/** Whether the log is whole from `from` on: each epoch before the current one left its commit. */
export function isWhole(rows: readonly LogRow[], from: bigint, current: bigint): boolean {
  // Whoever knows a later epoch has it from before a backup was restored.
  if (from >= current) return true;
  const commits = rows.filter(({ isCommit }) => isCommit);
  assert(commits.length <= Number(current - from), 'no epoch has two commits');
  return commits[0]?.epoch === from;
}
