import { migrations as aasMigrations } from '@roost/aas/service';
import { migrations as asMigrations } from '@roost/as/service';
import { assert } from '@roost/core/assert';
import { migrations as dsMigrations } from '@roost/ds/service';
import { migrations as federationMigrations } from '@roost/federation-gateway/service';
import { Database, type DatabaseConfig } from '@roost/postgres/database';
import { migrate } from '@roost/postgres/migrate';
import { migrations as qsMigrations } from '@roost/qs/service';

/** Each has a role and a database of this name. */
export const SERVICES = ['as', 'aas', 'qs', 'ds'] as const;
export type ServiceName = (typeof SERVICES)[number];
type DatabaseName = ServiceName | 'federation';

const CONNECTIONS_MAX = 10;

const MIGRATIONS: Readonly<Record<DatabaseName, URL>> = {
  as: asMigrations,
  aas: aasMigrations,
  qs: qsMigrations,
  ds: dsMigrations,
  federation: federationMigrations,
};

/** Those that a homeserver has. */
export function databasesOf({ isFederated }: { readonly isFederated: boolean }): DatabaseName[] {
  return isFederated ? [...SERVICES, 'federation'] : [...SERVICES];
}

export interface Databases extends AsyncDisposable {
  readonly of: (name: DatabaseName) => Database;
  /** Whether all of them answer. */
  readonly health: () => Promise<boolean>;
}

/** Opens all databases and brings each to today's schema. */
export async function openDatabases(
  configs: Readonly<Record<string, DatabaseConfig>>,
): Promise<Databases> {
  const names = databasesOf({ isFederated: configs['federation'] !== undefined });
  const open = new Map<DatabaseName, Database>();
  for (const name of names) {
    const config = configs[name];
    assert(config !== undefined, `there is a database for ${name}`);
    open.set(name, new Database(config, CONNECTIONS_MAX));
  }
  const of = (name: DatabaseName): Database => {
    const database = open.get(name);
    assert(database !== undefined, `the database of ${name} is open`);
    return database;
  };
  const close = async (): Promise<void> => {
    await Promise.all([...open.values()].map((database) => database[Symbol.asyncDispose]()));
  };
  try {
    await Promise.all(names.map((name) => migrate(of(name), MIGRATIONS[name])));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    of,
    health: async () => {
      const asked = [...open.values()].map((database) => database.query({ text: 'SELECT' }));
      return (await Promise.allSettled(asked)).every(({ status }) => status === 'fulfilled');
    },
    [Symbol.asyncDispose]: close,
  };
}
