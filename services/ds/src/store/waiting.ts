import type { Pair } from '@roost/bus/frames';
import type { Numbered } from '@roost/bus/numbering';
import { assert } from '@roost/core/assert';
import type { Domain, Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';
import { headOf } from './outbox.ts';
import type { Head, HeadRow, OutboxRow } from './outbox.ts';

export interface Waiting {
  readonly destination: Domain;
  readonly partition: number;
  /** Groups to leave aside. */
  readonly stalled: readonly Uuid[];
}

export interface WaitingLimits {
  readonly rowsMax: number;
  readonly bytesMax: number;
}

/**
 * The rows of a partition that wait the longest, but for groups that are stalled. One row at least,
 * however large. Of each group it is a beginning: a row that is not seen yet is never before one that is.
 */
export async function readWaiting(
  on: Executor,
  { destination, partition, stalled }: Waiting,
  { rowsMax, bytesMax }: WaitingLimits,
): Promise<readonly OutboxRow[]> {
  const rows = await selectWaiting(on, destination, partition, stalled, rowsMax, bytesMax);
  return rows.map((row) => ({
    ...numberedOf(row),
    id: row.id,
    destination,
    partition,
    sealed: row.sealed,
  }));
}

/** Deletes what the receiver has, by its marks; of deleted groups, the head goes with the last row. */
export async function deleteUpTo(
  on: Executor,
  destination: Domain,
  marks: readonly { readonly id: Uuid; readonly mark: Pair }[],
): Promise<void> {
  if (marks.length === 0) return;
  await deleteRows(
    on,
    marks.map(({ id, mark }) => [id, mark.incarnation, mark.n]),
    destination,
  );
}

/** What a group has left for a destination: read in one statement, so that both are of one moment. */
export interface Standing {
  readonly id: Uuid;
  readonly lowest: Numbered | undefined;
  readonly head: Pair;
}

export async function readStandings(
  on: Executor,
  destination: Domain,
  ids: readonly Uuid[],
): Promise<readonly Standing[]> {
  const rows = await selectStandings(on, destination, ids);
  return rows.map((row) => ({
    id: row.id,
    lowest: row.n === null ? undefined : numberedOf({ ...row, n: row.n }),
    head: { incarnation: Number(row.headIncarnation), n: row.headN },
  }));
}

/** Which partitions have something waiting. */
export async function waitingPartitions(on: Executor, destination: Domain): Promise<number[]> {
  return (await selectPartitions(on, destination)).map(({ partition }) => partition);
}

/** As `waitingPartitions`, of what is for other homeservers. */
export async function partitionsWaitingElsewhere(on: Executor, home: Domain): Promise<number[]> {
  return (await selectPartitionsElsewhere(on, home)).map(({ partition }) => partition);
}

/** The other homeservers that something waits for in a partition, in their order. */
export async function waitingDestinations(
  on: Executor,
  partition: number,
  home: Domain,
): Promise<Domain[]> {
  return (await selectDestinations(on, partition, home)).map(({ destination }) => destination);
}

export type HeadsAfter = Pick<Head, 'id' | 'destination'>;

/** The next heads, of our own QS or of others, for telling them all round by round. */
export async function listHeads(
  on: Executor,
  {
    home,
    isHome,
    after,
  }: {
    readonly home: Domain;
    readonly isHome: boolean;
    readonly after: HeadsAfter | undefined;
  },
  rowsMax: number,
): Promise<readonly (Head & { readonly partition: number })[]> {
  const { id = null, destination = '' } = after ?? {};
  const rows = await selectHeadsAfter(on, home, isHome, id, destination, rowsMax);
  return rows.map((row) => ({ ...headOf(row), partition: row.partition }));
}

interface NumberRow {
  readonly incarnation: bigint | null;
  readonly n: bigint;
  readonly prevIncarnation: bigint | null;
  readonly prevN: bigint | null;
}

function numberedOf({ incarnation, n, prevIncarnation, prevN }: NumberRow): Numbered {
  assert(prevN !== null, 'a row of the outbox knows the one before it');
  return {
    number: { incarnation: Number(incarnation), n },
    prev: { incarnation: Number(prevIncarnation), n: prevN },
  };
}

const selectWaiting = statement<
  [
    destination: Domain,
    partition: number,
    stalled: readonly Uuid[],
    rowsMax: number,
    bytesMax: number,
  ],
  NumberRow & { id: Uuid; sealed: Uint8Array }
>(
  'ds_read_waiting',
  `WITH oldest AS (
     SELECT position, group_id, incarnation, n,
            sum(length(sealed)) OVER (ORDER BY position) - length(sealed) AS bytes_before
       FROM (SELECT position, group_id, incarnation, n, sealed
               FROM outbox
              WHERE destination = $1 AND partition = $2 AND NOT (group_id = ANY ((SELECT $3::uuid[])::uuid[]))
              ORDER BY position
              LIMIT $4) AS waiting
   )
   SELECT outbox.group_id AS id, outbox.incarnation, outbox.n,
          outbox.prev_incarnation AS "prevIncarnation", outbox.prev_n AS "prevN", outbox.sealed
     FROM oldest JOIN outbox
       ON outbox.group_id = oldest.group_id AND outbox.destination = $1
      AND outbox.incarnation = oldest.incarnation AND outbox.n = oldest.n
    WHERE oldest.bytes_before < $5
    ORDER BY oldest.position`,
);

/** `OFFSET 0` keeps the planner from joining by a scan of the whole table. */
const deleteRows = rowsStatement<
  readonly [Uuid, number, bigint],
  never,
  readonly [destination: Domain]
>(
  'ds_delete_outbox',
  { types: ['uuid', 'bigint', 'bigint'], fixed: 1 },
  (values) =>
    `WITH marks (group_id, incarnation, n) AS (
       ${values}
     ), ended AS (
       DELETE FROM outbox_heads
        WHERE ctid = ANY (ARRAY (
          SELECT heads.ctid
            FROM marks, LATERAL (
              SELECT ctid, closed
                FROM outbox_heads
               WHERE group_id = marks.group_id AND destination = $1
                 AND (incarnation, n) <= (marks.incarnation, marks.n)
              OFFSET 0
            ) AS heads
           WHERE heads.closed))
     )
     DELETE FROM outbox
      WHERE ctid = ANY (ARRAY (
        SELECT arrived.ctid
          FROM marks, LATERAL (
            SELECT ctid
              FROM outbox
             WHERE group_id = marks.group_id AND destination = $1
               AND (incarnation, n) <= (marks.incarnation, marks.n)
            OFFSET 0
          ) AS arrived))`,
);

const selectStandings = statement<
  [destination: Domain, ids: readonly Uuid[]],
  {
    id: Uuid;
    incarnation: bigint | null;
    n: bigint | null;
    prevIncarnation: bigint | null;
    prevN: bigint | null;
    headIncarnation: bigint;
    headN: bigint;
  }
>(
  'ds_read_standings',
  `SELECT heads.group_id AS id, lowest.incarnation, lowest.n,
          lowest.prev_incarnation AS "prevIncarnation", lowest.prev_n AS "prevN",
          heads.incarnation AS "headIncarnation", heads.n AS "headN"
     FROM outbox_heads AS heads
     LEFT JOIN LATERAL (
       SELECT incarnation, n, prev_incarnation, prev_n
         FROM outbox
        WHERE outbox.group_id = heads.group_id AND outbox.destination = heads.destination
        ORDER BY incarnation, n
        LIMIT 1
     ) AS lowest ON true
    WHERE heads.destination = $1 AND heads.group_id = ANY ((SELECT $2::uuid[])::uuid[])`,
);

const selectPartitions = statement<[destination: Domain], { partition: number }>(
  'ds_waiting_partitions',
  `SELECT numbers.partition
     FROM generate_series(0, 15) AS numbers (partition), LATERAL (
       SELECT FROM outbox
        WHERE destination = $1 AND outbox.partition = numbers.partition
        LIMIT 1
     ) AS first`,
);

const selectPartitionsElsewhere = statement<[home: Domain], { partition: number }>(
  'ds_waiting_partitions_elsewhere',
  `SELECT numbers.partition
     FROM generate_series(0, 15) AS numbers (partition)
    WHERE EXISTS (SELECT FROM outbox WHERE outbox.partition = numbers.partition AND destination < $1)
       OR EXISTS (SELECT FROM outbox WHERE outbox.partition = numbers.partition AND destination > $1)`,
);

/** From one to the next by the index, whatever the number of rows. */
const selectDestinations = statement<[partition: number, home: Domain], { destination: Domain }>(
  'ds_waiting_destinations',
  `WITH RECURSIVE found AS (
     SELECT (SELECT min(destination) FROM outbox WHERE partition = $1) AS destination
     UNION ALL
     SELECT (SELECT min(outbox.destination) FROM outbox
              WHERE partition = $1 AND outbox.destination > found.destination)
       FROM found
      WHERE found.destination IS NOT NULL
   )
   SELECT destination FROM found
    WHERE destination IS NOT NULL AND destination <> $2
    ORDER BY destination`,
);

const selectHeadsAfter = statement<
  [home: Domain, isHome: boolean, id: Uuid | null, destination: string, rowsMax: number],
  HeadRow & { partition: number }
>(
  'ds_list_heads',
  `SELECT group_id AS id, destination, partition, incarnation, n
     FROM outbox_heads
    WHERE (destination = $1) = $2 AND ($3::uuid IS NULL OR (group_id, destination) > ($3, $4))
    ORDER BY group_id, destination
    LIMIT $5`,
);
