import { createHash, randomBytes } from 'node:crypto';
import { assert } from '@roost/core/assert';
import { Database, type DatabaseConfig } from '@roost/postgres/database';
import { migrate, readMigrations } from '@roost/postgres/migrate';

/** A database of one test file's own, dropped when it is disposed of. */
export class FreshDatabase extends Database {
  /** For what makes its own connections: a second process, a pool of another size. */
  readonly config: DatabaseConfig;
  /** As its owner, where it has one. */
  readonly owner: DatabaseConfig;
  readonly name: string;

  readonly #server: string | undefined;

  constructor(name: string, { connectionsMax = 10, owner, server }: FreshOptions) {
    const config = configOf(server, name);
    super(config, connectionsMax);
    this.config = config;
    this.owner = configOf(server, name, owner);
    this.name = name;
    this.#server = server;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await using server = new Database(configOf(this.#server), 1);
    await server.query({ text: `DROP DATABASE IF EXISTS "${this.name}" WITH (FORCE)` });
  }
}

export interface FreshOptions {
  readonly connectionsMax?: number;
  /** A role that owns it, and that alone may enter beside the superuser; made where it is not there. */
  readonly owner?: string | undefined;
  /** Another server than that of the run: the URL of its superuser. */
  readonly server?: string | undefined;
}

/**
 * Makes a database with the migrations of a service (`new URL('../migrations', import.meta.url)`), or an
 * empty one. The first of a run migrates a template; the others are copies of its files.
 */
export async function freshDatabase(
  migrations?: URL,
  options: FreshOptions = {},
): Promise<FreshDatabase> {
  const { owner } = options;
  await using server = new Database(configOf(options.server), 1);
  // A lock of the session, as CREATE DATABASE does not run in a transaction; the pool has one connection.
  await server.query({ text: `SELECT pg_advisory_lock(${LOCK_KEY})` });
  if (owner !== undefined) await ensureRole(server, owner);
  const template =
    migrations === undefined ? 'template0' : await migrated(server, migrations, options);
  await server.query({ text: `SELECT pg_advisory_unlock(${LOCK_KEY})` });
  const name = `roost_test_${randomBytes(8).toString('hex')}`;
  const owned = owner === undefined ? '' : `OWNER "${owner}"`;
  await server.query({
    text: `CREATE DATABASE "${name}" ${owned} TEMPLATE "${template}" STRATEGY file_copy`,
  });
  if (owner !== undefined) {
    await server.query({ text: `REVOKE ALL ON DATABASE "${name}" FROM PUBLIC` });
  }
  return new FreshDatabase(name, options);
}

async function ensureRole(server: Database, name: string): Promise<void> {
  assert(/^[a-z_]+$/.test(name), 'a role is called by a plain word');
  const [found] = await server.query({
    text: 'SELECT FROM pg_roles WHERE rolname = $1',
    values: [name],
  });
  // Its password is its name: the server is a test's own.
  const password = `LOGIN PASSWORD '${name}'`;
  if (found === undefined) await server.query({ text: `CREATE ROLE "${name}" ${password}` });
}

async function migrated(server: Database, migrations: URL, options: FreshOptions): Promise<string> {
  const { owner } = options;
  const hash = createHash('sha256').update(`${owner ?? ''}\n`);
  for (const { name, sha256 } of await readMigrations(migrations))
    hash.update(`${name} ${sha256}\n`);
  const template = `roost_template_${hash.digest('hex').slice(0, 16)}`;

  const [found] = await server.query({
    text: 'SELECT FROM pg_database WHERE datname = $1',
    values: [template],
  });
  if (found === undefined) {
    const unfinished = `${template}_new`;
    await server.query({ text: `DROP DATABASE IF EXISTS "${unfinished}" WITH (FORCE)` });
    const owned = owner === undefined ? '' : `OWNER "${owner}"`;
    await server.query({ text: `CREATE DATABASE "${unfinished}" ${owned} STRATEGY file_copy` });
    {
      await using database = new Database(configOf(options.server, unfinished, owner), 1);
      await migrate(database, migrations);
    }
    await waitUntilAlone(server, unfinished);
    await server.query({ text: `ALTER DATABASE "${unfinished}" RENAME TO "${template}"` });
  }
  return template;
}

/** A backend outlives its connection by a moment, and a database in use cannot be renamed. */
async function waitUntilAlone(server: Database, name: string): Promise<void> {
  await server.query({
    text: 'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1',
    values: [name],
  });
}

const LOCK_KEY = 0x7465_7374;

/** The server of `tools/postgres-up.mjs` where none is given; without a database, the one to give orders from. */
function configOf(server: string | undefined, database?: string, role?: string): DatabaseConfig {
  const given = server ?? process.env['ROOST_TEST_POSTGRES'];
  assert(
    given !== undefined,
    'tests with a database are called *.pg.test.ts, so that Jest starts one',
  );
  const url = new URL(given);
  if (database !== undefined) url.pathname = `/${database}`;
  if (url.hostname !== '') {
    if (role !== undefined) [url.username, url.password] = [role, role];
    return { url: url.href };
  }
  const host = url.searchParams.get('host');
  assert(host !== null, 'the embedded server is named by its folder');
  const as = role === undefined ? { user: 'postgres' } : { user: role, password: role };
  return { host, ...as, database: database ?? 'postgres' };
}
