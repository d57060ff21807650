import type { Pair } from '@roost/bus/frames';
import type { Numbered } from '@roost/bus/numbering';
import type { Weight as OutboxWeight } from '@roost/bus/outbox-weights';
import type { Domain, Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

/** What waits for a homeserver. A head says that there was something up to its number, which is its prev too. */
export interface OutboxRow extends Numbered {
  readonly id: Uuid;
  readonly kind: 'event' | 'head';
  /** Under the transport key; empty for heads. */
  readonly sealed: Uint8Array;
}

/** Puts rows in; a head whose number waits already adds nothing. */
export async function insertRows(
  tx: Executor,
  destination: Domain,
  rows: readonly OutboxRow[],
  nowMs: number,
): Promise<void> {
  if (rows.length === 0) return;
  const tuples = rows.map(
    ({ id, number, prev, kind, sealed }) =>
      [id, number.incarnation, number.n, prev.incarnation, prev.n, KINDS[kind], sealed] as const,
  );
  await insert(tx, tuples, destination, BigInt(nowMs));
}

/** The rows for a destination that wait the longest, but for some groups. Of each group it is a beginning. */
export async function readWaiting(
  on: Executor,
  { destination, without }: { readonly destination: Domain; readonly without: readonly Uuid[] },
  { rowsMax, bytesMax }: { readonly rowsMax: number; readonly bytesMax: number },
): Promise<readonly OutboxRow[]> {
  const rows = await selectWaiting(on, destination, without, rowsMax, bytesMax);
  return rows.map(rowOf);
}

/** The first rows of one group. */
export async function readGroup(
  on: Executor,
  destination: Domain,
  id: Uuid,
  rowsMax: number,
): Promise<readonly OutboxRow[]> {
  return (await selectGroup(on, destination, id, rowsMax)).map(rowOf);
}

/** Of each group the first row that is left, where one is. */
export async function readLowest(
  on: Executor,
  destination: Domain,
  ids: readonly Uuid[],
): Promise<ReadonlyMap<Uuid, Numbered>> {
  const rows = await selectLowest(on, destination, ids);
  return new Map(rows.map((row) => [row.id, numberedOf(row)]));
}

/** Deletes what a destination has, by its marks. */
export async function deleteUpTo(
  on: Executor,
  destination: Domain,
  marks: readonly { readonly id: Uuid; readonly mark: Pair }[],
): Promise<void> {
  const tuples = marks.map(({ id, mark }) => [id, mark.incarnation, mark.n] as const);
  if (tuples.length > 0) await remove(on, tuples, destination);
}

/** How much waits for a destination, and since when. */
export interface Weight extends OutboxWeight {
  readonly oldestMs: number;
}

/** All that waits, the fullest first. */
export async function weigh(on: Executor): Promise<readonly Weight[]> {
  const rows = await selectWeights(on);
  return rows.map(({ destination, rows: count, bytes, oldestMs }) => ({
    destination,
    ...{ rows: Number(count), bytes: Number(bytes), oldestMs: Number(oldestMs) },
  }));
}

const KINDS = { event: 1, head: 3 } as const;

interface Row {
  readonly id: Uuid;
  readonly incarnation: bigint;
  readonly n: bigint;
  readonly prevIncarnation: bigint;
  readonly prevN: bigint;
}

type FullRow = Row & { readonly kind: number; readonly sealed: Uint8Array };

function numberedOf({ incarnation, n, prevIncarnation, prevN }: Row): Numbered {
  return {
    number: { incarnation: Number(incarnation), n },
    prev: { incarnation: Number(prevIncarnation), n: prevN },
  };
}

function rowOf(row: FullRow): OutboxRow {
  const kind = row.kind === KINDS.event ? 'event' : 'head';
  return { id: row.id, ...numberedOf(row), kind, sealed: row.sealed };
}

const insert = rowsStatement<
  readonly [
    ...(readonly [id: Uuid, incarnation: number, n: bigint]),
    ...(readonly [prevIncarnation: number, prevN: bigint, kind: number, sealed: Uint8Array]),
  ],
  never,
  readonly [destination: Domain, nowMs: bigint]
>(
  'federation_insert_outbox',
  { types: ['uuid', 'bigint', 'bigint', 'bigint', 'bigint', 'smallint', 'bytea'], fixed: 2 },
  (values) =>
    `INSERT INTO outbox (destination, since_ms, group_id, incarnation, n,
                         prev_incarnation, prev_n, kind, sealed)
     SELECT $1::text, $2::bigint, given.*
       FROM (${values}) AS given (group_id, incarnation, n, prev_incarnation, prev_n, kind, sealed)
     ON CONFLICT DO NOTHING`,
);

const selectWaiting = statement<
  [destination: Domain, without: readonly Uuid[], rowsMax: number, bytesMax: number],
  FullRow
>(
  'federation_read_outbox',
  `WITH oldest AS (
     SELECT position, group_id, incarnation, n,
            sum(octet_length(sealed)) OVER (ORDER BY position) - octet_length(sealed) AS bytes_before
       FROM (SELECT position, group_id, incarnation, n, sealed
               FROM outbox
              WHERE destination = $1 AND NOT (group_id = ANY ((SELECT $2::uuid[])::uuid[]))
              ORDER BY position
              LIMIT $3) AS waiting
   )
   SELECT outbox.group_id AS id, outbox.incarnation, outbox.n,
          outbox.prev_incarnation AS "prevIncarnation", outbox.prev_n AS "prevN",
          outbox.kind, outbox.sealed
     FROM oldest JOIN outbox
       ON outbox.destination = $1 AND outbox.group_id = oldest.group_id
      AND outbox.incarnation = oldest.incarnation AND outbox.n = oldest.n
    WHERE oldest.bytes_before < $4
    ORDER BY oldest.position`,
);

const selectGroup = statement<[destination: Domain, id: Uuid, rowsMax: number], FullRow>(
  'federation_read_outbox_of_group',
  `SELECT group_id AS id, incarnation, n,
          prev_incarnation AS "prevIncarnation", prev_n AS "prevN", kind, sealed
     FROM outbox
    WHERE destination = $1 AND group_id = $2
    ORDER BY incarnation, n
    LIMIT $3`,
);

const selectLowest = statement<[destination: Domain, ids: readonly Uuid[]], Row>(
  'federation_read_lowest_rows',
  `SELECT lowest.*
     FROM unnest($2::uuid[]) AS ids (id), LATERAL (
       SELECT group_id AS id, incarnation, n,
              prev_incarnation AS "prevIncarnation", prev_n AS "prevN"
         FROM outbox
        WHERE destination = $1 AND group_id = ids.id
        ORDER BY incarnation, n
        LIMIT 1
     ) AS lowest`,
);

/** `OFFSET 0` keeps the planner from joining by a scan of the whole table. */
const remove = rowsStatement<
  readonly [Uuid, number, bigint],
  never,
  readonly [destination: Domain]
>(
  'federation_delete_outbox',
  { types: ['uuid', 'bigint', 'bigint'], fixed: 1 },
  (values) =>
    `WITH marks (group_id, incarnation, n) AS (${values})
     DELETE FROM outbox
      WHERE ctid = ANY (ARRAY (
        SELECT arrived.ctid
          FROM marks, LATERAL (
            SELECT ctid
              FROM outbox
             WHERE destination = $1 AND group_id = marks.group_id
               AND (incarnation, n) <= (marks.incarnation, marks.n)
            OFFSET 0
          ) AS arrived))`,
);

const selectWeights = statement<
  [],
  { destination: Domain; rows: bigint; bytes: bigint; oldestMs: bigint }
>(
  'federation_weigh_outbox',
  `SELECT destination, count(*) AS rows, sum(octet_length(sealed))::bigint AS bytes,
          min(since_ms) AS "oldestMs"
     FROM outbox
    GROUP BY destination
    ORDER BY rows DESC, destination`,
);
