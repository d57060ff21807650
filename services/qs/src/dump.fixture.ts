import type { Database } from '@roost/postgres/database';

/** All rows of all tables, as text. */
export async function dump(database: Database): Promise<string> {
  const tables = await database.query<{ name: string }>({
    text: `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  });
  const rows = await Promise.all(
    tables.map(async ({ name }) => [
      name,
      await database.query({ text: `SELECT t::text FROM ${name} AS t` }),
    ]),
  );
  return JSON.stringify(rows);
}
