import type { Pair } from '@roost/bus/frames';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** How far we have what the DS has of a group for a destination. */
export interface MarkRow {
  readonly tag: Uint8Array;
  readonly mark: Pair;
  /** When the destination was last given something by which it would see a loss. */
  readonly toldMs: number;
}

export interface MovedMark extends MarkRow {
  /** As the transaction read it. */
  readonly from: Pair;
}

export async function findMarks(
  on: Executor,
  tags: readonly Uint8Array[],
): Promise<readonly MarkRow[]> {
  if (tags.length === 0) return [];
  const rows = await select(on, tags);
  return rows.map(({ tag, incarnation, n, toldMs }) => ({
    tag,
    mark: { incarnation: Number(incarnation), n },
    toldMs: Number(toldMs),
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
    marks.map((each) => BigInt(each.toldMs)),
  );
  return moved.length === marks.length;
}

const select = statement<
  [tags: readonly Uint8Array[]],
  { tag: Uint8Array; incarnation: bigint; n: bigint; toldMs: bigint }
>(
  'federation_find_marks',
  `SELECT tag, incarnation, n, told_ms AS "toldMs"
     FROM marks
    WHERE tag = ANY ((SELECT $1::bytea[])::bytea[])`,
);

const move = statement<
  [
    tags: readonly Uint8Array[],
    incarnations: readonly number[],
    ns: readonly bigint[],
    fromIncarnations: readonly number[],
    fromNs: readonly bigint[],
    toldMs: readonly bigint[],
  ],
  { moved: number }
>(
  'federation_move_marks',
  `WITH v AS (
     SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
       AS v (tag, incarnation, n, from_incarnation, from_n, told_ms)
   )
   INSERT INTO marks (tag, incarnation, n, told_ms)
   SELECT tag, incarnation, n, told_ms FROM v ORDER BY tag
   ON CONFLICT (tag) DO UPDATE
      SET incarnation = excluded.incarnation, n = excluded.n, told_ms = excluded.told_ms
    WHERE (marks.incarnation, marks.n) =
          (SELECT v.from_incarnation, v.from_n FROM v WHERE v.tag = excluded.tag)
   RETURNING 1 AS moved`,
);
