import type { QueueRun } from '@roost/bus/queue';
import { assert } from '@roost/core/assert';
import { concat } from '@roost/core/bytes';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';
import type { QueueHead } from '../domain/queue.ts';
import { inPieces } from './pieces.ts';

/** A queue that is locked until the transaction ends. */
export interface LockedQueue extends QueueHead {
  readonly clientId: bigint;
  /** Sealed. */
  readonly ratchet: Uint8Array;
  readonly runsSinceSecret: number;
  /** Set where it is time for a new secret. */
  readonly queueKey: Uint8Array | null;
}

export interface ClientRun extends QueueRun {
  readonly clientId: bigint;
}

/**
 * Locks queues in the order of their ids, so that two batches wait for each other, but never both.
 *
 * `(SELECT $1)` here and in other hot statements: so the planner does not see how long the array is,
 * finds a plan for all lengths as good as any, and plans once (planning costs three times the work).
 */
export async function lockQueues(
  tx: Executor,
  clientIds: readonly bigint[],
  runsPerSecret: number,
): Promise<LockedQueue[]> {
  if (clientIds.length === 0) return [];
  const rows = await lock(tx, clientIds, runsPerSecret);
  return rows.map(({ storedBytes, ...row }) => ({ ...row, storedBytes: Number(storedBytes) }));
}

const PIECE_BYTES_MAX = 8 << 20;

/** Adds runs, of which each queue's are in order; the queues are locked. */
export async function insertRuns(tx: Executor, runs: readonly ClientRun[], storedDay: number) {
  // What goes to hundreds of queues is large; sent at once, it would be in memory three times over.
  for (const some of inPieces(runs, PIECE_BYTES_MAX)) await insertPiece(tx, some, storedDay);
}

async function insertPiece(tx: Executor, runs: readonly ClientRun[], storedDay: number) {
  let start = 1;
  const starts = runs.map(({ ciphertext }) => (start += ciphertext.length) - ciphertext.length);
  await insert(
    tx,
    storedDay,
    concat(...runs.map(({ ciphertext }) => ciphertext)),
    numbers(runs.map(({ clientId }) => clientId)),
    numbers(runs.map(({ firstSequence }) => firstSequence)),
    numbers(runs.map(({ count }) => count)),
    numbers(starts),
    numbers(runs.map(({ ciphertext }) => ciphertext.length)),
  );
}

/** Writes back what changed of locked queues. */
export async function updateQueues(tx: Executor, queues: readonly LockedQueue[]): Promise<void> {
  await update(
    tx,
    concat(...queues.map(({ ratchet }) => ratchet)),
    numbers(queues.map(({ clientId }) => clientId)),
    numbers(queues.map(({ next }) => next)),
    numbers(queues.map(({ storedBytes }) => storedBytes)),
    numbers(queues.map(({ runsSinceSecret }) => runsSinceSecret)),
    numbers(queues.map(({ isGapMarked }) => Number(isGapMarked))),
  );
}

/**
 * An array as PostgreSQL reads it, without a look at each number; and bytes of many rows go as one, which
 * the statement cuts up: a third of what `pg` takes for as many parameters, or for an array of bytes.
 */
function numbers(values: readonly (number | bigint)[]): string {
  return `{${values.join()}}`;
}

/** Locks one queue for its reader; `undefined` where it was deleted. */
export async function lockForReader(tx: Executor, clientId: bigint) {
  const [row] = await lockReader(tx, clientId);
  return row;
}

/** Deletes what lies wholly below a sequence of a locked queue. */
export async function acknowledge(tx: Executor, clientId: bigint, below: bigint): Promise<void> {
  await deleteBelow(tx, clientId, below);
}

export interface PageLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

/** The runs that hold `from` and what comes after, cut to the limits, but at least one. */
export async function readRuns(
  on: Executor,
  clientId: bigint,
  from: bigint,
  { messagesMax, bytesMax }: PageLimits,
): Promise<QueueRun[]> {
  return await selectRuns(on, clientId, from, messagesMax, bytesMax);
}

/** The same, and who listens by now; `undefined` where the queue was deleted. */
export async function readAsListener(
  on: Executor,
  clientId: bigint,
  from: bigint,
  { messagesMax, bytesMax }: PageLimits,
) {
  const rows = await selectRunsFor(on, clientId, from, messagesMax, bytesMax);
  const [first] = rows;
  if (first === undefined) return undefined;
  const runs = rows.flatMap(({ firstSequence, count, ciphertext }): QueueRun[] =>
    firstSequence === null || count === null || ciphertext === null
      ? []
      : [{ firstSequence, count, ciphertext }],
  );
  return { listener: first.listener, runs };
}

/** Makes this the only listener of a locked queue, and tells its number. */
export async function takeListener(tx: Executor, clientId: bigint): Promise<bigint> {
  const [row] = await raiseListener(tx, clientId);
  assert(row !== undefined, 'a locked queue is there');
  return row.listener;
}

/** Where the queues of local listeners end, and who listens to them now. */
export const findEnds = statement<
  [clientIds: readonly bigint[]],
  { clientId: bigint; next: bigint; listener: bigint }
>(
  'qs_find_ends',
  `SELECT client_id AS "clientId", next_sequence AS next, listener
     FROM queues WHERE client_id = ANY ($1::bigint[])`,
);

export const insertQueue = statement<
  [clientId: bigint, queueKey: Uint8Array, ratchet: Uint8Array, next: bigint, bytes: number],
  never
>(
  'qs_insert_queue',
  `INSERT INTO queues (client_id, queue_key, ratchet, next_sequence, stored_bytes)
   VALUES ($1, $2, $3, $4, $5)`,
);

/** Queues with runs from before a day. */
export const findExpired = statement<[beforeDay: number, countMax: number], { clientId: bigint }>(
  'qs_find_expired_runs',
  `SELECT DISTINCT client_id AS "clientId" FROM runs WHERE stored_day < $1 LIMIT $2`,
);

/** Everything of a locked queue, if any of it is from before a day. Secrets are no messages. */
export const deleteExpired = statement<
  [clientId: bigint, beforeDay: number],
  { runs: bigint; messages: bigint }
>(
  'qs_delete_expired_runs',
  `WITH gone AS (
     DELETE FROM runs
      WHERE client_id = $1
        AND EXISTS (SELECT FROM runs WHERE client_id = $1 AND stored_day < $2)
      RETURNING count, substring(ciphertext FOR 1) AS kind
   ), queue AS (
     UPDATE queues SET acknowledged = next_sequence, stored_bytes = 0, is_gap_marked = false
      WHERE client_id = $1 AND EXISTS (SELECT FROM gone)
   )
   SELECT count(*) AS runs, coalesce(sum(count) FILTER (WHERE kind = '\\x02'), 0) AS messages
     FROM gone`,
);

export const findQueueKey = statement<[clientId: bigint], { queueKey: Uint8Array }>(
  'qs_find_queue_key',
  `SELECT queue_key AS "queueKey" FROM queues WHERE client_id = $1`,
);

/** For a client that is deleted; its queue is locked. */
export const deleteRuns = statement<[clientId: bigint], never>(
  'qs_delete_runs',
  `DELETE FROM runs WHERE client_id = $1`,
);

const lock = statement<
  [clientIds: readonly bigint[], runsPerSecret: number],
  Omit<LockedQueue, 'storedBytes'> & { storedBytes: bigint }
>(
  'qs_lock_queues',
  `SELECT client_id AS "clientId", ratchet, next_sequence AS next, acknowledged,
          stored_bytes AS "storedBytes", runs_since_secret AS "runsSinceSecret",
          is_gap_marked AS "isGapMarked",
          CASE WHEN runs_since_secret >= $2 THEN queue_key END AS "queueKey"
     FROM queues
    WHERE client_id = ANY ((SELECT $1::bigint[])::bigint[])
    ORDER BY client_id
      FOR UPDATE`,
);

const insert = statement<
  [
    storedDay: number,
    ciphertexts: Uint8Array,
    clientIds: string,
    firstSequences: string,
    counts: string,
    starts: string,
    lengths: string,
  ],
  never
>(
  'qs_insert_runs',
  `INSERT INTO runs (stored_day, client_id, first_sequence, count, ciphertext)
   SELECT $1::integer, client_id, first_sequence, count,
          substring($2::bytea FROM start FOR length)
     FROM unnest((SELECT $3::bigint[]), $4::bigint[], $5::integer[], $6::integer[], $7::integer[])
       AS v (client_id, first_sequence, count, start, length)`,
);

const update = statement<
  [
    ratchets: Uint8Array,
    clientIds: string,
    nexts: string,
    storedBytes: string,
    runsSinceSecret: string,
    isGapMarked: string,
  ],
  never
>(
  'qs_update_queues',
  `UPDATE queues AS q
      SET ratchet = substring($1::bytea FROM ((v.number - 1) * 60 + 1)::integer FOR 60),
          next_sequence = v.next, stored_bytes = v.bytes, runs_since_secret = v.runs,
          is_gap_marked = v.marked::boolean
     FROM unnest((SELECT $2::bigint[]), $3::bigint[], $4::bigint[], $5::integer[], $6::integer[])
     WITH ORDINALITY AS v (client_id, next, bytes, runs, marked, number)
    WHERE q.client_id = v.client_id`,
);

const lockReader = statement<[clientId: bigint], { next: bigint; acknowledged: bigint }>(
  'qs_lock_queue_for_reader',
  `SELECT next_sequence AS next, acknowledged FROM queues WHERE client_id = $1 FOR UPDATE`,
);

const deleteBelow = statement<[clientId: bigint, below: bigint], never>(
  'qs_delete_runs_below',
  `WITH gone AS (
     DELETE FROM runs
      WHERE client_id = $1 AND first_sequence < $2 AND first_sequence + count <= $2
      RETURNING octet_length(ciphertext) AS bytes
   )
   UPDATE queues
      SET acknowledged = $2, stored_bytes = stored_bytes - (SELECT coalesce(sum(bytes), 0) FROM gone)
    WHERE client_id = $1`,
);

/** A run has at most 256 messages: what holds `from` begins less than so many below it. */
const PAGE = `SELECT first_sequence, count, ciphertext
     FROM (SELECT first_sequence, count, ciphertext,
                  sum(count) OVER (ORDER BY first_sequence) AS messages,
                  sum(octet_length(ciphertext)) OVER (ORDER BY first_sequence) AS bytes,
                  row_number() OVER (ORDER BY first_sequence) AS number
             FROM runs
            WHERE client_id = $1 AND first_sequence > $2::bigint - 256
              AND first_sequence + count > $2
            ORDER BY first_sequence
            LIMIT $3::integer) AS page
    WHERE number = 1 OR (messages <= $3::integer AND bytes <= $4::integer)`;

type PageArguments = [clientId: bigint, from: bigint, messagesMax: number, bytesMax: number];

const selectRuns = statement<PageArguments, QueueRun>(
  'qs_select_runs',
  `SELECT first_sequence AS "firstSequence", count, ciphertext
     FROM (${PAGE}) AS runs
    ORDER BY first_sequence`,
);

const selectRunsFor = statement<
  PageArguments,
  { listener: bigint } & { [Field in keyof QueueRun]: QueueRun[Field] | null }
>(
  'qs_select_runs_for_listener',
  `SELECT listener, first_sequence AS "firstSequence", count, ciphertext
     FROM queues LEFT JOIN (${PAGE}) AS runs ON true
    WHERE client_id = $1
    ORDER BY first_sequence`,
);

const raiseListener = statement<[clientId: bigint], { listener: bigint }>(
  'qs_raise_listener',
  `UPDATE queues SET listener = listener + 1 WHERE client_id = $1 RETURNING listener`,
);
