import type { Database } from '@roost/postgres/database';
import type { World } from './world.ts';

/** All rows of all tables of a database that outlast a crash, as PostgreSQL prints them: bytes in hex. */
export async function dump(database: Database): Promise<Map<string, string[]>> {
  const tables = await database.query<{ name: string }>({
    text: `SELECT c.relname AS name FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relpersistence = 'p' ORDER BY 1`,
  });
  const rows = new Map<string, string[]>();
  for (const { name } of tables) {
    const found = await database.query<{ row: string }>({
      text: `SELECT t::text AS row FROM "${name}" t ORDER BY 1`,
    });
    rows.set(
      name,
      found.map(({ row }) => row),
    );
  }
  return rows;
}

/** The same as one text. */
export async function printed(database: Database): Promise<string> {
  const tables = await dump(database);
  return [...tables].map(([table, rows]) => `${table}\n${rows.join('\n')}`).join('\n');
}

/** What all services keep, but for the tokens that were spent. */
export async function dumpAll(world: World): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const [service, database] of Object.entries(world.databases)) {
    for (const [table, rows] of await dump(database)) {
      if (service === 'aas' && table.startsWith('spent')) continue;
      all[`${service}.${table}`] = rows;
    }
  }
  return all;
}
