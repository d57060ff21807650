import { isNativeError } from 'node:util/types';
import { CannotStart } from '@roost/core/cannot-start';
import { Failure } from '@roost/core/failure';
import { Database } from '@roost/postgres/database';

/** Throws a sentence where there is no such database. */
export async function openDatabase(url: string, connectionsMax: number): Promise<Database> {
  const database = new Database({ url }, connectionsMax);
  try {
    await database.query({ text: 'SELECT' });
    return database;
  } catch (error) {
    await database[Symbol.asyncDispose]();
    const why = error instanceof Failure ? error.cause : error;
    throw new CannotStart(
      `ROOST_DATABASE_URL: the database does not answer (${isNativeError(why) ? why.message : String(why)})`,
      { cause: error },
    );
  }
}
