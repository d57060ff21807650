import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

/** A handle that its homeserver called gone, for the DS. */
export interface GoneRow {
  /** Of destination and group. */
  readonly tag: Uint8Array;
  /** Of the handle. */
  readonly digest: Uint8Array;
  readonly sealed: Uint8Array;
}

export async function insertGone(
  on: Executor,
  rows: readonly GoneRow[],
  nowMs: number,
): Promise<void> {
  const tuples = rows.map(({ tag, digest, sealed }) => [tag, digest, sealed] as const);
  if (tuples.length > 0) await insert(on, tuples, BigInt(nowMs));
}

/** What the DS is to hear of these groups, which it is told now. */
export async function tellGone(
  on: Executor,
  tags: readonly Uint8Array[],
  nowMs: number,
): Promise<readonly Pick<GoneRow, 'tag' | 'sealed'>[]> {
  return tags.length === 0 ? [] : await tell(on, tags, BigInt(nowMs));
}

/** What the DS heard long enough ago to have heard it again if the answer was lost; and what it never asked for. */
export const forgetGone = statement<[toldBeforeMs: bigint, sinceBeforeMs: bigint], never>(
  'federation_forget_gone',
  `DELETE FROM gone WHERE told_ms < $1 OR since_ms < $2`,
);

const insert = rowsStatement<
  readonly [tag: Uint8Array, digest: Uint8Array, sealed: Uint8Array],
  never,
  readonly [nowMs: bigint]
>(
  'federation_insert_gone',
  { types: ['bytea', 'bytea', 'bytea'], fixed: 1 },
  (values) =>
    `INSERT INTO gone (since_ms, tag, digest, sealed)
     SELECT $1::bigint, given.* FROM (${values}) AS given (tag, digest, sealed)
     ON CONFLICT DO NOTHING`,
);

const tell = statement<
  [tags: readonly Uint8Array[], nowMs: bigint],
  { tag: Uint8Array; sealed: Uint8Array }
>(
  'federation_tell_gone',
  `WITH told AS (
     UPDATE gone SET told_ms = $2
      WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM gone
         WHERE tag = ANY ((SELECT $1::bytea[])::bytea[]) AND told_ms IS NULL
           FOR UPDATE SKIP LOCKED))
   )
   SELECT tag, sealed FROM gone
    WHERE tag = ANY ((SELECT $1::bytea[])::bytea[])
    LIMIT 4096`,
);
