import type { Pair } from '@roost/bus/frames';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

export interface MarkRow {
  readonly tag: Uint8Array;
  readonly mark: Pair;
}

export interface MovedMark extends MarkRow {
  /** As the transaction read it. */
  readonly from: Pair;
}

export async function findMarks(on: Executor, tags: readonly Uint8Array[]): Promise<MarkRow[]> {
  if (tags.length === 0) return [];
  const rows = await select(on, tags);
  return rows.map(({ tag, incarnation, n }) => ({
    tag,
    mark: { incarnation: Number(incarnation), n },
  }));
}

/** Compare-and-set over the whole pair; false where another was faster with any of them. */
export async function moveMarks(tx: Executor, marks: readonly MovedMark[]): Promise<boolean> {
  if (marks.length === 0) return true;
  const moved = await move(
    tx,
    marks.map((each) => each.tag),
    marks.map((each) => each.mark.incarnation),
    marks.map((each) => each.mark.n),
    marks.map((each) => each.from.incarnation),
    marks.map((each) => each.from.n),
  );
  return moved.length === marks.length;
}

export interface DeadLetter {
  readonly tag: Uint8Array;
  readonly number: Pair;
  readonly kind: 'undecodable' | 'gap';
  readonly sealed: Uint8Array;
}

const SEALED_BYTES_MAX = 1024 * 1024;

export async function bury(tx: Executor, letters: readonly DeadLetter[], now: Date): Promise<void> {
  if (letters.length === 0) return;
  const rows = letters.map(
    ({ tag, number, kind, sealed }) =>
      [tag, number.incarnation, number.n, kind, sealed.subarray(0, SEALED_BYTES_MAX)] as const,
  );
  await insertLetters(tx, rows, now);
}

const select = statement<
  [tags: readonly Uint8Array[]],
  { tag: Uint8Array; incarnation: bigint; n: bigint }
>(
  'qs_find_marks',
  `SELECT tag, incarnation, n FROM marks WHERE tag = ANY ((SELECT $1::bytea[])::bytea[])`,
);

const move = statement<
  [
    tags: readonly Uint8Array[],
    incarnations: readonly number[],
    ns: readonly bigint[],
    fromIncarnations: readonly number[],
    fromNs: readonly bigint[],
  ],
  { moved: number }
>(
  'qs_move_marks',
  `WITH v AS (
     SELECT * FROM unnest((SELECT $1::bytea[]), $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
       AS v (tag, incarnation, n, from_incarnation, from_n)
   )
   INSERT INTO marks (tag, incarnation, n)
   SELECT tag, incarnation, n FROM v ORDER BY tag
   ON CONFLICT (tag) DO UPDATE SET incarnation = excluded.incarnation, n = excluded.n
    WHERE (marks.incarnation, marks.n) =
          (SELECT v.from_incarnation, v.from_n FROM v WHERE v.tag = excluded.tag)
   RETURNING 1 AS moved`,
);

const insertLetters = rowsStatement<
  readonly [
    tag: Uint8Array,
    incarnation: number,
    n: bigint,
    kind: DeadLetter['kind'],
    sealed: Uint8Array,
  ],
  never,
  [now: Date]
>(
  'qs_insert_dead_letters',
  { types: ['bytea', 'bigint', 'bigint', 'text', 'bytea'], fixed: 1, rowsMax: 16 },
  (values) => `INSERT INTO dead_letters (buried_at, tag, incarnation, n, kind, sealed)
               SELECT $1::timestamptz, r.* FROM (${values}) AS r`,
);
