import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';
import type { LogRow } from '../domain/log-page.ts';

export interface LogEntry {
  readonly epoch: bigint;
  /** Proposals of the epoch from 0, then its commit. */
  readonly position: number;
  readonly isCommit: boolean;
  readonly sealed: Uint8Array;
}

export async function insertLog(
  tx: Executor,
  id: Uuid,
  { epoch, position, isCommit, sealed }: LogEntry,
  day: number,
): Promise<void> {
  await insert(tx, id, epoch, position, isCommit, sealed, day);
}

/** What there is from an epoch on, without the contents; at most `LOG_ROWS_MAX`. */
export async function listLog(
  on: Executor,
  id: Uuid,
  fromEpoch: bigint,
): Promise<readonly LogRow[]> {
  return await list(on, id, fromEpoch, LOG_ROWS_MAX);
}

export const readLog = statement<[id: Uuid, from: bigint, to: bigint], LogEntry>(
  'ds_read_log',
  `SELECT epoch, position, is_commit AS "isCommit", sealed
     FROM log
    WHERE group_id = $1 AND epoch BETWEEN $2 AND $3
    ORDER BY epoch, position`,
);

export interface AcceptedKey {
  readonly id: Uuid;
  readonly digest: Uint8Array;
}

export async function findAccepted(
  on: Executor,
  keys: readonly AcceptedKey[],
): Promise<readonly (AcceptedKey & { readonly sealed: Uint8Array })[]> {
  return await selectAccepted(
    on,
    keys.map(({ id, digest }) => [id, digest]),
  );
}

export async function insertAccepted(
  tx: Executor,
  rows: readonly (AcceptedKey & { readonly sealed: Uint8Array })[],
  day: number,
): Promise<void> {
  await insertAnswers(
    tx,
    rows.map(({ id, digest, sealed }) => [id, digest, sealed]),
    day,
  );
}

/** Deletes a bounded number of rows of days before the given ones; gives how many were deleted. */
export async function sweep(on: Executor, before: SweepDays): Promise<number> {
  const swept = await Promise.all([
    sweepLog(on, before.log, SWEEP_ROWS_MAX),
    sweepAccepted(on, before.accepted, SWEEP_ROWS_MAX),
    sweepJoinInfos(on, before.joinInfo, SWEEP_ROWS_MAX),
    sweepReports(on, before.log, SWEEP_ROWS_MAX),
  ]);
  return swept.reduce((sum, rows) => sum + (rows[0]?.count ?? 0), 0);
}

export interface SweepDays {
  readonly log: number;
  readonly accepted: number;
  readonly joinInfo: number;
}

/** More than an epoch can have. */
export const LOG_ROWS_MAX = 8_192;
const SWEEP_ROWS_MAX = 5_000;

const insert = statement<
  [id: Uuid, epoch: bigint, position: number, isCommit: boolean, sealed: Uint8Array, day: number],
  never
>(
  'ds_insert_log',
  `INSERT INTO log (group_id, epoch, position, is_commit, sealed, day)
   VALUES ($1, $2, $3, $4, $5, $6)`,
);

const list = statement<[id: Uuid, fromEpoch: bigint, rowsMax: number], LogRow>(
  'ds_list_log',
  `SELECT epoch, is_commit AS "isCommit", length(sealed) AS size
     FROM log
    WHERE group_id = $1 AND epoch >= $2
    ORDER BY epoch, position
    LIMIT $3`,
);

const selectAccepted = rowsStatement<
  readonly [Uuid, Uint8Array],
  AcceptedKey & { sealed: Uint8Array }
>(
  'ds_find_accepted',
  { types: ['uuid', 'bytea'] },
  (values) =>
    `SELECT wanted.group_id AS id, wanted.digest, found.sealed
       FROM (${values}) AS wanted (group_id, digest), LATERAL (
         SELECT sealed
           FROM accepted
          WHERE accepted.group_id = wanted.group_id AND accepted.digest = wanted.digest
          LIMIT 1
       ) AS found`,
);

const insertAnswers = rowsStatement<
  readonly [Uuid, Uint8Array, Uint8Array],
  never,
  readonly [day: number]
>(
  'ds_insert_accepted',
  { types: ['uuid', 'bytea', 'bytea'], fixed: 1 },
  (values) =>
    `INSERT INTO accepted (group_id, digest, sealed, day)
     SELECT group_id, digest, sealed, $1::integer
       FROM (${values}) AS given (group_id, digest, sealed)`,
);

/** Proposals of the current epoch stay: the next commit has to carry them. */
const sweepLog = statement<[before: number, rowsMax: number], { count: number }>(
  'ds_sweep_log',
  `WITH old AS (
     SELECT log.ctid FROM log JOIN groups USING (group_id)
      WHERE log.day < $1 AND log.epoch < groups.epoch
      LIMIT $2
   ), gone AS (
     DELETE FROM log WHERE ctid IN (SELECT ctid FROM old) RETURNING 1
   )
   SELECT count(*)::integer AS count FROM gone`,
);

const sweepAccepted = statement<[before: number, rowsMax: number], { count: number }>(
  'ds_sweep_accepted',
  `WITH old AS (
     SELECT ctid FROM accepted WHERE day < $1 LIMIT $2
   ), gone AS (
     DELETE FROM accepted WHERE ctid IN (SELECT ctid FROM old) RETURNING 1
   )
   SELECT count(*)::integer AS count FROM gone`,
);

const sweepJoinInfos = statement<[before: number, rowsMax: number], { count: number }>(
  'ds_sweep_join_infos',
  `WITH old AS (
     SELECT ctid FROM join_infos WHERE day < $1 LIMIT $2
   ), gone AS (
     DELETE FROM join_infos WHERE ctid IN (SELECT ctid FROM old) RETURNING 1
   )
   SELECT count(*)::integer AS count FROM gone`,
);

/** They are about commits that are in the log. */
const sweepReports = statement<[before: number, rowsMax: number], { count: number }>(
  'ds_sweep_reports',
  `WITH old AS (
     SELECT ctid FROM reports WHERE day < $1 LIMIT $2
   ), gone AS (
     DELETE FROM reports WHERE ctid IN (SELECT ctid FROM old) RETURNING 1
   )
   SELECT count(*)::integer AS count FROM gone`,
);
