import { expect } from '@jest/globals';
import type { Reason } from '@roost/core/failure';
import type { Database } from '@roost/postgres/database';

/** A refusal with this reason, as a caller hears it. */
export async function expectRefusal(call: Promise<unknown>, reason: Reason): Promise<void> {
  await expect(call).rejects.toMatchObject({ name: 'Failure', reason });
}

const TABLES = [
  'groups',
  'tombstones',
  'rosters',
  'states',
  'join_infos',
  'log',
  'accepted',
  'outbox',
  'outbox_heads',
  'dead_queues',
  'reports',
  'public_rooms',
] as const;

/** Every row of every table, as PostgreSQL prints it: what a thief of the disk has. */
export async function dump(
  database: Database,
  tables: readonly string[] = TABLES,
): Promise<string> {
  const texts = await Promise.all(
    tables.map(async (table) => {
      const rows = await database.query<{ row: string }>({
        text: `SELECT to_jsonb(t)::text AS row FROM ${table} AS t ORDER BY 1`,
      });
      return rows.map(({ row }) => `${table} ${row}`).join('\n');
    }),
  );
  return texts.join('\n');
}
