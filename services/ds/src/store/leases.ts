import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

export interface Beat {
  readonly held: readonly number[];
  /** What others may have now, as there are more of us. */
  readonly isGiving: boolean;
}

/**
 * Says that a replica lives, prolongs what it holds and takes what nobody holds, up to its fair share. All of it by the
 * clock of the database, as those of replicas differ.
 */
export async function beat(on: Executor, replica: string, leaseMs: number): Promise<Beat> {
  const rows = await prolong(on, replica, leaseMs);
  return {
    held: rows.flatMap(({ partition, isHeld }) => (isHeld ? [partition] : [])),
    isGiving: rows.some(({ isHeld }) => !isHeld),
  };
}

/** A replica that goes leaves everything to the others. */
export const giveBack = statement<[replica: string], never>(
  'ds_give_back_leases',
  `WITH gone AS (DELETE FROM dispatchers WHERE replica = $1)
   DELETE FROM leases WHERE replica = $1`,
);

/** Rows are taken in the order of partitions, so that two who want the same wait for each other, but never both. */
const prolong = statement<
  [replica: string, leaseMs: number],
  { partition: number; isHeld: boolean }
>(
  'ds_prolong_leases',
  `WITH time AS (
     SELECT clock_timestamp() AS now, clock_timestamp() + $2::integer * interval '1 millisecond' AS later
   ), me AS (
     INSERT INTO dispatchers (replica, expires_at) SELECT $1, later FROM time
     ON CONFLICT (replica) DO UPDATE SET expires_at = excluded.expires_at
   ), dead AS (
     DELETE FROM dispatchers USING time WHERE replica <> $1 AND expires_at < time.now
   ), others AS (
     SELECT count(*) AS count FROM dispatchers, time WHERE replica <> $1 AND expires_at >= time.now
   ), wanted AS (
     SELECT numbers.partition
       FROM generate_series(0, 15) AS numbers (partition) CROSS JOIN time
       LEFT JOIN leases ON leases.partition = numbers.partition
      WHERE replica IS NULL OR replica = $1 OR expires_at < time.now
      ORDER BY (replica = $1) DESC NULLS LAST, numbers.partition
      LIMIT (SELECT ceil(16.0 / (1 + count)) FROM others)
   ), held AS (
     INSERT INTO leases (partition, replica, expires_at)
     SELECT partition, $1, later FROM wanted, time ORDER BY partition
     ON CONFLICT (partition) DO UPDATE SET replica = excluded.replica, expires_at = excluded.expires_at
      WHERE leases.replica = excluded.replica OR leases.expires_at < (SELECT now FROM time)
     RETURNING partition
   ), given AS (
     DELETE FROM leases
      WHERE replica = $1 AND NOT (partition = ANY (SELECT partition FROM wanted))
     RETURNING partition
   )
   SELECT partition, true AS "isHeld" FROM held
   UNION ALL
   SELECT partition, false FROM given`,
);
