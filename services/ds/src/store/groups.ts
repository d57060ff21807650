import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';
import { deleteClosedHeads } from './outbox.ts';

/** What is readable of a group without its EAR key. */
export interface GroupRow {
  readonly id: Uuid;
  readonly epoch: bigint;
  readonly rosterVersion: bigint;
  /** Months since 1970-01. */
  readonly usedMonth: number;
  /** Whether queues of its members were called gone. */
  readonly hasDead: boolean;
}

/**
 * Keeps everybody else out of these groups until `tx` ends; in the order of ids, which all keep to.
 *
 * `(SELECT $1)` here and in other hot statements: the planner does not see how long the array is, and plans
 * once and for all.
 */
export async function lockGroups(
  tx: Executor,
  ids: readonly Uuid[],
): Promise<ReadonlyMap<Uuid, GroupRow>> {
  const rows = await lock(tx, ids);
  return new Map(rows.map((row) => [row.id, row]));
}

export async function lockGroup(tx: Executor, id: Uuid): Promise<GroupRow | undefined> {
  return (await lockGroups(tx, [id])).get(id);
}

export async function findGroup(on: Executor, id: Uuid): Promise<GroupRow | undefined> {
  return (await find(on, id))[0];
}

/** False where the id is in use. Waits for whoever is just using or deleting it. */
export async function insertGroup(tx: Executor, id: Uuid, month: number): Promise<boolean> {
  return (await insert(tx, id, month)).length === 1;
}

export const advanceGroup = statement<
  [id: Uuid, epoch: bigint, rosterVersion: bigint, month: number],
  never
>(
  'ds_advance_group',
  'UPDATE groups SET epoch = $2, roster_version = $3, used_month = $4 WHERE group_id = $1',
);

export async function touchGroups(
  tx: Executor,
  rows: readonly GroupRow[],
  month: number,
): Promise<void> {
  const ids = rows.filter(({ usedMonth }) => usedMonth !== month).map(({ id }) => id);
  if (ids.length > 0) await touch(tx, ids, month);
}

export async function findRosters(
  on: Executor,
  ids: readonly Uuid[],
): Promise<ReadonlyMap<Uuid, Uint8Array>> {
  const rows = await selectRosters(on, ids);
  return new Map(rows.map(({ id, sealed }) => [id, sealed]));
}

export const putRoster = statement<[id: Uuid, sealed: Uint8Array], never>(
  'ds_put_roster',
  `INSERT INTO rosters (group_id, sealed) VALUES ($1, $2)
   ON CONFLICT (group_id) DO UPDATE SET sealed = excluded.sealed`,
);

export async function findState(on: Executor, id: Uuid): Promise<Uint8Array | undefined> {
  return (await selectState(on, id))[0]?.sealed;
}

export const putState = statement<[id: Uuid, sealed: Uint8Array], never>(
  'ds_put_state',
  `INSERT INTO states (group_id, sealed) VALUES ($1, $2)
   ON CONFLICT (group_id) DO UPDATE SET sealed = excluded.sealed`,
);

export async function findJoinInfo(
  on: Executor,
  id: Uuid,
  epoch: bigint,
): Promise<Uint8Array | undefined> {
  return (await selectJoinInfo(on, id, epoch))[0]?.sealed;
}

export const insertJoinInfo = statement<
  [id: Uuid, epoch: bigint, sealed: Uint8Array, day: number],
  never
>(
  'ds_insert_join_info',
  'INSERT INTO join_infos (group_id, epoch, sealed, day) VALUES ($1, $2, $3, $4)',
);

/** Deletes what no joiner waits for. */
export const keepJoinInfos = statement<[id: Uuid, awaited: readonly bigint[]], never>(
  'ds_keep_join_infos',
  'DELETE FROM join_infos WHERE group_id = $1 AND NOT (epoch = ANY ($2::bigint[]))',
);

export async function findTombstone(on: Executor, id: Uuid): Promise<Uint8Array | undefined> {
  return (await selectTombstone(on, id))[0]?.digest;
}

/** Deletes a group for real: all that is left is its id, and how its deleter proves itself again. */
export async function deleteGroup(tx: Executor, id: Uuid, digest: Uint8Array): Promise<void> {
  await Promise.all([
    deleteRow(tx, id),
    deleteAccepted(tx, id),
    closeHeads(tx, id),
    insertTombstone(tx, id, digest),
  ]);
}

/**
 * Deletes groups that nobody used since a month, a bounded number; gives how many. Their digest is
 * random: there is no deleter who could ask again.
 */
export async function expireGroups(
  tx: Executor,
  before: number,
  random: () => Uint8Array,
): Promise<number> {
  const unused = await lockUnused(tx, before, EXPIRED_MAX);
  for (const { id } of unused) {
    await deleteGroup(tx, id, random());
    await deleteClosedHeads(tx, id);
  }
  return unused.length;
}

const EXPIRED_MAX = 100;

const lockUnused = statement<[before: number, rowsMax: number], { id: Uuid }>(
  'ds_lock_unused_groups',
  `SELECT group_id AS id
     FROM groups
    WHERE used_month < $1
    ORDER BY group_id
    LIMIT $2
      FOR UPDATE SKIP LOCKED`,
);

const lock = statement<[ids: readonly Uuid[]], GroupRow>(
  'ds_lock_groups',
  `SELECT group_id AS id, epoch, roster_version AS "rosterVersion", used_month AS "usedMonth",
          EXISTS (SELECT FROM dead_queues WHERE dead_queues.group_id = groups.group_id) AS "hasDead"
     FROM groups
    WHERE group_id = ANY ((SELECT $1::uuid[])::uuid[])
    ORDER BY group_id
      FOR NO KEY UPDATE`,
);

const touch = statement<[ids: readonly Uuid[], month: number], never>(
  'ds_touch_groups',
  'UPDATE groups SET used_month = $2 WHERE group_id = ANY ($1::uuid[])',
);

const find = statement<[id: Uuid], GroupRow>(
  'ds_find_group',
  `SELECT group_id AS id, epoch, roster_version AS "rosterVersion", used_month AS "usedMonth",
          EXISTS (SELECT FROM dead_queues WHERE dead_queues.group_id = groups.group_id) AS "hasDead"
     FROM groups
    WHERE group_id = $1`,
);

const insert = statement<[id: Uuid, month: number], { id: Uuid }>(
  'ds_insert_group',
  `INSERT INTO groups (group_id, epoch, roster_version, used_month) VALUES ($1, 0, 0, $2)
   ON CONFLICT DO NOTHING
   RETURNING group_id AS id`,
);

const selectRosters = statement<[ids: readonly Uuid[]], { id: Uuid; sealed: Uint8Array }>(
  'ds_find_rosters',
  'SELECT group_id AS id, sealed FROM rosters WHERE group_id = ANY ((SELECT $1::uuid[])::uuid[])',
);

const selectState = statement<[id: Uuid], { sealed: Uint8Array }>(
  'ds_find_state',
  'SELECT sealed FROM states WHERE group_id = $1',
);

const selectJoinInfo = statement<[id: Uuid, epoch: bigint], { sealed: Uint8Array }>(
  'ds_find_join_info',
  'SELECT sealed FROM join_infos WHERE group_id = $1 AND epoch = $2',
);

const selectTombstone = statement<[id: Uuid], { digest: Uint8Array }>(
  'ds_find_tombstone',
  'SELECT digest FROM tombstones WHERE group_id = $1',
);

/** The rest of the group's rows goes with it. */
const deleteRow = statement<[id: Uuid], never>(
  'ds_delete_group',
  'DELETE FROM groups WHERE group_id = $1',
);

const deleteAccepted = statement<[id: Uuid], never>(
  'ds_delete_accepted',
  'DELETE FROM accepted WHERE group_id = $1',
);

/** What waits to be fanned out still is; then the head goes too. */
const closeHeads = statement<[id: Uuid], never>(
  'ds_close_heads',
  'UPDATE outbox_heads SET closed = true WHERE group_id = $1',
);

const insertTombstone = statement<[id: Uuid, digest: Uint8Array], never>(
  'ds_insert_tombstone',
  'INSERT INTO tombstones (group_id, digest) VALUES ($1, $2)',
);
