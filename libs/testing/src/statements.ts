import type { Database } from '@roost/postgres/database';
import { allStatements } from '@roost/postgres/statement';

/**
 * PREPAREs every statement of the modules that the test imports, which sees what types cannot: columns and
 * tables that do not exist, operators that do not fit. Gives what is wrong, by name.
 */
export async function wrongStatements(database: Database): Promise<Record<string, string>> {
  const wrong: Record<string, string> = {};
  for (const [name, sql] of allStatements()) {
    const prepared = database.transaction(async (tx) => {
      await tx.query({ text: `PREPARE a_statement_under_test AS ${sql}` });
      await tx.query({ text: 'DEALLOCATE a_statement_under_test' });
    });
    await prepared.catch((error: unknown) => {
      wrong[name] = String(error);
    });
  }
  return wrong;
}
