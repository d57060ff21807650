import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

export async function findReports(on: Executor, id: Uuid): Promise<Uint8Array | undefined> {
  return (await select(on, id))[0]?.sealed;
}

export const putReports = statement<[id: Uuid, sealed: Uint8Array, day: number], never>(
  'ds_put_reports',
  `INSERT INTO reports (group_id, sealed, day) VALUES ($1, $2, $3)
   ON CONFLICT (group_id) DO UPDATE SET sealed = excluded.sealed, day = excluded.day`,
);

const select = statement<[id: Uuid], { sealed: Uint8Array }>(
  'ds_find_reports',
  'SELECT sealed FROM reports WHERE group_id = $1',
);
