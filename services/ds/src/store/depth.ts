import type { Weight } from '@roost/bus/outbox-weights';
import type { Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** What waits in the outbox; `oldest` and `newest` are places in the order of acceptance. */
export interface OutboxDepth {
  /** Counted up to a hundred thousand. */
  readonly rows: number;
  readonly oldest: bigint | undefined;
  /** The last that was given out, waiting or not. */
  readonly newest: bigint;
}

export async function measureOutbox(on: Executor, destination: Domain): Promise<OutboxDepth> {
  const [found] = await selectDepth(on, destination);
  return {
    rows: Number(found?.rows ?? 0n),
    oldest: found?.oldest ?? undefined,
    newest: found?.newest ?? 0n,
  };
}

/** What waits for whom; the lengths of rows are known without reading them. */
export async function weighOutbox(on: Executor): Promise<readonly Weight[]> {
  const found = await selectWeights(on);
  return found.map(({ destination, rows, bytes }) => ({
    ...{ destination, rows: Number(rows), bytes: Number(bytes) },
  }));
}

export interface PartitionDepth {
  readonly partition: number;
  /** Of the first hundred thousand rows, as the bytes. */
  readonly rows: bigint;
  readonly bytes: bigint;
  readonly isCarried: boolean;
}

/** What waits in each partition, for whichever destination, and whether a replica carries it. */
export async function measurePartitions(on: Executor): Promise<readonly PartitionDepth[]> {
  return await selectPartitionDepths(on);
}

const selectPartitionDepths = statement<[], PartitionDepth>(
  'ds_measure_partitions',
  `WITH weighed AS (
     SELECT partition, count(*) AS rows, sum(octet_length(sealed))::bigint AS bytes
       FROM (SELECT partition, sealed FROM outbox LIMIT 100000) AS waiting
      GROUP BY partition
   )
   SELECT numbers.partition, coalesce(weighed.rows, 0) AS rows,
          coalesce(weighed.bytes, 0)::bigint AS bytes,
          EXISTS (SELECT FROM leases
                   WHERE leases.partition = numbers.partition
                     AND expires_at > clock_timestamp()) AS "isCarried"
     FROM generate_series(0, 15) AS numbers (partition) LEFT JOIN weighed USING (partition)
    ORDER BY numbers.partition`,
);

const selectWeights = statement<[], { destination: Domain; rows: bigint; bytes: bigint }>(
  'ds_weigh_outbox',
  `SELECT destination, count(*) AS rows, sum(octet_length(sealed))::bigint AS bytes
     FROM outbox
    GROUP BY destination`,
);

const selectDepth = statement<
  [destination: Domain],
  { rows: bigint; oldest: bigint | null; newest: bigint }
>(
  'ds_measure_outbox',
  `SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 100000) AS waiting) AS rows,
          (SELECT min(lowest.position)
             FROM generate_series(0, 15) AS numbers (partition), LATERAL (
               SELECT position FROM outbox
                WHERE destination = $1 AND outbox.partition = numbers.partition
                ORDER BY position
                LIMIT 1
             ) AS lowest) AS oldest,
          (SELECT last_value FROM outbox_position_seq) AS newest`,
);
