import type { Pair } from '@roost/bus/frames';
import type { Domain, Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

export interface DeadLetter {
  readonly number: bigint;
  readonly destination: Domain;
  readonly reason: string;
  readonly atMs: number;
  readonly bytes: number;
}

/** Gives an event up. A head stays in its place, so that its destination learns that something is missing. */
export async function bury(
  on: Executor,
  destination: Domain,
  { id, number }: { readonly id: Uuid; readonly number: Pair },
  { reason, nowMs }: { readonly reason: string; readonly nowMs: number },
): Promise<number> {
  const { incarnation, n } = number;
  const buried = await buryOne(on, destination, id, incarnation, n, reason, BigInt(nowMs));
  return buried.length;
}

/** Gives up what waits since before a moment; how many of them there were, up to `rowsMax`. */
export async function buryOlder(
  on: Executor,
  { beforeMs, nowMs }: { readonly beforeMs: number; readonly nowMs: number },
  rowsMax: number,
): Promise<number> {
  return (await buryMany(on, BigInt(beforeMs), BigInt(nowMs), rowsMax)).length;
}

/**
 * Forgets heads that say nothing new, as a later row of their group is there too, or that nobody wanted to hear since before
 * a moment: the DS tells of them again.
 */
export const forgetHeads = statement<[beforeMs: bigint], never>(
  'federation_forget_heads',
  `DELETE FROM outbox
    WHERE ctid = ANY (ARRAY (
      SELECT ctid FROM outbox AS head
       WHERE kind = 3
         AND (since_ms < $1
              OR EXISTS (SELECT FROM outbox AS later
                          WHERE later.destination = head.destination AND later.group_id = head.group_id
                            AND (later.incarnation, later.n) > (head.incarnation, head.n)))
         FOR UPDATE SKIP LOCKED))`,
);

export const forgetLetters = statement<[beforeMs: bigint], never>(
  'federation_forget_letters',
  `DELETE FROM dead_letters WHERE at_ms < $1`,
);

/** By number; of one destination, or of all. */
export async function listLetters(
  on: Executor,
  { domain, after }: { readonly domain: Domain | undefined; readonly after: bigint },
  rowsMax: number,
): Promise<readonly DeadLetter[]> {
  const rows = await select(on, domain ?? null, after, rowsMax);
  return rows.map(({ atMs, ...row }) => ({ ...row, atMs: Number(atMs) }));
}

const select = statement<
  [domain: Domain | null, after: bigint, rowsMax: number],
  { number: bigint; destination: Domain; reason: string; atMs: bigint; bytes: number }
>(
  'federation_list_letters',
  `SELECT letter_number AS number, destination, reason, at_ms AS "atMs", bytes
     FROM dead_letters
    WHERE ($1::text IS NULL OR destination = $1) AND letter_number > $2
    ORDER BY letter_number
    LIMIT $3`,
);

const buryOne = statement<
  [destination: Domain, id: Uuid, incarnation: number, n: bigint, reason: string, nowMs: bigint],
  { number: bigint }
>(
  'federation_bury_event',
  `WITH event AS (
     SELECT destination, group_id, incarnation, n, sealed
       FROM outbox
      WHERE destination = $1 AND group_id = $2 AND incarnation = $3 AND n = $4 AND kind = 1
        FOR UPDATE
   ), letter AS (
     INSERT INTO dead_letters (destination, group_id, incarnation, n, reason, at_ms, bytes, sealed)
     SELECT destination, group_id, incarnation, n, $5, $6, octet_length(sealed), sealed FROM event
     RETURNING letter_number
   ), head AS (
     UPDATE outbox SET kind = 3, sealed = '', prev_incarnation = outbox.incarnation, prev_n = outbox.n
       FROM event
      WHERE outbox.destination = event.destination AND outbox.group_id = event.group_id
        AND outbox.incarnation = event.incarnation AND outbox.n = event.n
   )
   SELECT letter_number AS number FROM letter`,
);

const buryMany = statement<[beforeMs: bigint, nowMs: bigint, rowsMax: number], { number: bigint }>(
  'federation_bury_older',
  `WITH events AS (
     SELECT destination, group_id, incarnation, n, octet_length(sealed) AS bytes
       FROM outbox
      WHERE since_ms < $1 AND kind = 1
      ORDER BY since_ms
      LIMIT $3
        FOR UPDATE SKIP LOCKED
   ), letters AS (
     INSERT INTO dead_letters (destination, group_id, incarnation, n, reason, at_ms, bytes, sealed)
     SELECT destination, group_id, incarnation, n, 'EXPIRED', $2, bytes, '' FROM events
     RETURNING letter_number
   ), heads AS (
     UPDATE outbox
        SET kind = 3, sealed = '', since_ms = $2,
            prev_incarnation = outbox.incarnation, prev_n = outbox.n
       FROM events
      WHERE outbox.destination = events.destination AND outbox.group_id = events.group_id
        AND outbox.incarnation = events.incarnation AND outbox.n = events.n
   )
   SELECT letter_number AS number FROM letters`,
);
