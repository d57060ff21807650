import type { Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** How it goes with a destination that could not be reached the last time. */
export interface Trouble {
  readonly failures: number;
  readonly nextTryMs: number;
  readonly trouble: string;
}

export async function findTrouble(on: Executor, destination: Domain): Promise<Trouble | undefined> {
  const [row] = await select(on, destination);
  return row && troubleOf(row);
}

export async function listTroubles(on: Executor): Promise<ReadonlyMap<Domain, Trouble>> {
  const rows = await selectAll(on);
  return new Map(rows.map((row) => [row.destination, troubleOf(row)]));
}

export async function putTrouble(
  on: Executor,
  destination: Domain,
  { failures, nextTryMs, trouble }: Trouble,
): Promise<void> {
  await upsert(on, destination, failures, BigInt(nextTryMs), trouble);
}

/** It is tried as if nothing had been; whether something had. */
export async function forgetTrouble(on: Executor, destination: Domain): Promise<boolean> {
  return (await remove(on, destination)).length > 0;
}

/**
 * Says that a replica lives, prolongs the leases that it wants to keep, and takes those of destinations that something
 * waits for and nobody carries, up to its fair share. All of it by the clock of the database, as those of replicas differ.
 */
export async function beat(
  on: Executor,
  replica: string,
  {
    leaseMs,
    keep,
    most,
  }: { readonly leaseMs: number; readonly keep: readonly Domain[]; readonly most: number },
): Promise<readonly Domain[]> {
  const rows = await prolong(on, replica, leaseMs, keep, most);
  return rows.map(({ destination }) => destination);
}

/** A replica that goes leaves everything to the others. */
export const giveBack = statement<[replica: string], never>(
  'federation_give_back_leases',
  `WITH gone AS (DELETE FROM senders WHERE replica = $1)
   DELETE FROM leases WHERE replica = $1`,
);

interface TroubleRow {
  readonly failures: number;
  readonly nextTryMs: bigint;
  readonly trouble: string;
}

function troubleOf({ failures, nextTryMs, trouble }: TroubleRow): Trouble {
  return { failures, nextTryMs: Number(nextTryMs), trouble };
}

const select = statement<[destination: Domain], TroubleRow>(
  'federation_find_trouble',
  `SELECT failures, next_try_ms AS "nextTryMs", trouble FROM lanes WHERE destination = $1`,
);

const selectAll = statement<[], TroubleRow & { destination: Domain }>(
  'federation_list_troubles',
  `SELECT destination, failures, next_try_ms AS "nextTryMs", trouble
     FROM lanes ORDER BY failures DESC, destination LIMIT 10000`,
);

const upsert = statement<
  [destination: Domain, failures: number, nextTryMs: bigint, trouble: string],
  never
>(
  'federation_put_trouble',
  `INSERT INTO lanes (destination, failures, next_try_ms, trouble) VALUES ($1, $2, $3, $4)
   ON CONFLICT (destination) DO UPDATE
      SET failures = excluded.failures, next_try_ms = excluded.next_try_ms, trouble = excluded.trouble`,
);

const remove = statement<[destination: Domain], { destination: Domain }>(
  'federation_forget_trouble',
  `DELETE FROM lanes WHERE destination = $1 RETURNING destination`,
);

/** Rows are taken in the order of names, so that two who want the same wait for each other, but never both. */
const prolong = statement<
  [replica: string, leaseMs: number, keep: readonly Domain[], most: number],
  { destination: Domain }
>(
  'federation_prolong_leases',
  `WITH RECURSIVE time AS (
     SELECT clock_timestamp() AS now, clock_timestamp() + $2::integer * interval '1 millisecond' AS later
   ), me AS (
     INSERT INTO senders (replica, expires_at) SELECT $1, later FROM time
     ON CONFLICT (replica) DO UPDATE SET expires_at = excluded.expires_at
   ), dead AS (
     DELETE FROM senders USING time WHERE replica <> $1 AND expires_at < time.now
   ), others AS (
     SELECT count(*) AS count FROM senders, time WHERE replica <> $1 AND expires_at >= time.now
   ), found AS (
     SELECT (SELECT min(destination) FROM outbox) AS destination
     UNION ALL
     SELECT (SELECT min(outbox.destination) FROM outbox WHERE outbox.destination > found.destination)
       FROM found
      WHERE found.destination IS NOT NULL
   ), waiting AS (
     SELECT destination FROM found WHERE destination IS NOT NULL
     UNION
     SELECT unnest($3::text[])
   ), wanted AS (
     SELECT waiting.destination
       FROM waiting CROSS JOIN time
       LEFT JOIN leases ON leases.destination = waiting.destination
      WHERE replica IS NULL OR replica = $1 OR expires_at < time.now
      ORDER BY (replica = $1) DESC NULLS LAST, waiting.destination
      LIMIT (SELECT least($4::bigint, ceil((SELECT count(*) FROM waiting) / (1.0 + count))::bigint) FROM others)
   ), held AS (
     INSERT INTO leases (destination, replica, expires_at)
     SELECT destination, $1, later FROM wanted, time ORDER BY destination
     ON CONFLICT (destination) DO UPDATE SET replica = excluded.replica, expires_at = excluded.expires_at
      WHERE leases.replica = excluded.replica OR leases.expires_at < (SELECT now FROM time)
     RETURNING destination
   ), given AS (
     DELETE FROM leases
      WHERE replica = $1 AND NOT (destination = ANY (SELECT destination FROM wanted))
   )
   SELECT destination FROM held`,
);
