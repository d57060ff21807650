import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

export interface DeadQueue {
  readonly id: Uuid;
  /** HMAC of the handle under the transport key. */
  readonly digest: Uint8Array;
}

/** Notes queues of groups that are there still. */
export async function insertDeadQueues(on: Executor, rows: readonly DeadQueue[]): Promise<void> {
  await insert(
    on,
    rows.map(({ id, digest }) => [id, digest]),
  );
}

export async function findDeadQueues(on: Executor, id: Uuid): Promise<readonly Uint8Array[]> {
  return (await select(on, id, DEAD_QUEUES_MAX)).map(({ digest }) => digest);
}

/** Forgets queues that nobody of the group is reached by any more. */
export async function deleteDeadQueues(
  tx: Executor,
  id: Uuid,
  digests: readonly Uint8Array[],
): Promise<void> {
  if (digests.length === 0) return;
  await remove(
    tx,
    digests.map((digest) => [digest]),
    id,
  );
}

/** More than a request looks at. */
const DEAD_QUEUES_MAX = 1_000;

const insert = rowsStatement<readonly [Uuid, Uint8Array], never>(
  'ds_insert_dead_queues',
  { types: ['uuid', 'bytea'] },
  (values) =>
    `INSERT INTO dead_queues (group_id, digest)
     SELECT gone.group_id, gone.digest
       FROM (${values}) AS gone (group_id, digest) JOIN groups USING (group_id)
     ON CONFLICT DO NOTHING`,
);

const select = statement<[id: Uuid, rowsMax: number], { digest: Uint8Array }>(
  'ds_find_dead_queues',
  'SELECT digest FROM dead_queues WHERE group_id = $1 ORDER BY digest LIMIT $2',
);

const remove = rowsStatement<readonly [Uint8Array], never, readonly [id: Uuid]>(
  'ds_delete_dead_queues',
  { types: ['bytea'], fixed: 1 },
  (values) =>
    `DELETE FROM dead_queues
      WHERE group_id = $1::uuid
        AND digest IN (SELECT digest FROM (${values}) AS known (digest))`,
);
