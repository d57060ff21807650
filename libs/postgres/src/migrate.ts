import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { CannotStart } from '@roost/core/cannot-start';
import { MINUTE_MS } from '@roost/core/time';
import type { Database } from './database.ts';
import type { Executor } from './executor.ts';

export interface Migration {
  /** `0001_name.sql` */
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/**
 * Brings a database to the schema of this version, forward only: each of `migrations/NNNN_name.sql` that is
 * not there yet, in a transaction of its own. Several may try at once: one at a time goes on.
 */
export async function migrate(database: Database, folder: URL): Promise<void> {
  const migrations = await readMigrations(folder);
  while (await database.transaction((tx) => migrateOnce(tx, migrations), PATIENT));
}

/**
 * Throws a sentence where a database lacks a migration of this version. It may have more: the code of before
 * goes on while that of tomorrow is brought in.
 */
export async function assertMigrated(database: Database, folder: URL): Promise<void> {
  const applied = await findApplied(database);
  for (const [at, { name, sha256 }] of (await readMigrations(folder)).entries()) {
    const found = applied[at];
    if (found === undefined) {
      throw new CannotStart(`the database has no ${name} yet: run "migrate" first`);
    }
    if (found.name !== name || found.sha256 !== sha256) throw otherVersion(name, undefined);
  }
}

/**
 * Binds a database to the homeserver of one domain, for ever; throws a sentence where it is another's.
 * `isFirst` where nobody may be bound to it yet.
 */
export async function assertDomain(
  database: Database,
  domain: string,
  { isFirst }: { readonly isFirst: boolean },
): Promise<void> {
  const found = await database.transaction(async (tx) => {
    if (isFirst) {
      await tx.query({ text: `SELECT pg_advisory_xact_lock(${LOCK_KEY})` });
      await tx.query({
        text: 'CREATE TABLE IF NOT EXISTS homeserver (domain text NOT NULL, is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only))',
      });
      await tx.query({
        text: 'INSERT INTO homeserver (domain) VALUES ($1) ON CONFLICT DO NOTHING',
        values: [domain],
      });
    }
    const [table] = await tx.query<{ found: string | null }>({
      text: `SELECT to_regclass('homeserver')::text AS found`,
    });
    if ((table?.found ?? null) === null) return [];
    return await tx.query<{ domain: string }>({ text: 'SELECT domain FROM homeserver' });
  });
  const [kept] = found;
  if (kept === undefined)
    throw new CannotStart('the database is of no homeserver yet: run "migrate" first');
  if (kept.domain === domain) return;
  throw new CannotStart(
    `this database belongs to ${kept.domain}, and a home domain never changes: give ${domain} a database of ` +
      `its own, or say ROOST_DOMAIN=${kept.domain}`,
  );
}

async function findApplied(database: Database): Promise<{ name: string; sha256: string }[]> {
  const [table] = await database.query<{ found: string | null }>({
    text: `SELECT to_regclass('migrations')::text AS found`,
  });
  if ((table?.found ?? null) === null) return [];
  return await database.query<{ name: string; sha256: string }>({
    text: 'SELECT name, sha256 FROM migrations ORDER BY name',
  });
}

export async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).toSorted();
  return await Promise.all(
    names.map(async (name, at) => {
      if (!name.startsWith(`${String(at + 1).padStart(4, '0')}_`)) {
        throw new CannotStart(
          `migrations are numbered without a gap, but ${name} is number ${at + 1}`,
        );
      }
      const sql = await readFile(new URL(name, `${folder.href.replace(/\/$/, '')}/`), 'utf8');
      return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** Whether there may be more to do. */
async function migrateOnce(tx: Executor, migrations: readonly Migration[]): Promise<boolean> {
  await tx.query({ text: `SELECT pg_advisory_xact_lock(${LOCK_KEY})` });
  await tx.query({
    text: `CREATE TABLE IF NOT EXISTS migrations (
             name text PRIMARY KEY,
             sha256 text NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now()
           )`,
  });
  await tx.query({
    text: `CREATE TABLE IF NOT EXISTS incarnations (
             incarnation bigint NOT NULL CHECK (incarnation > 0),
             is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only)
           )`,
  });
  const applied = await tx.query<{ name: string; sha256: string }>({
    text: 'SELECT name, sha256 FROM migrations ORDER BY name',
  });
  for (const [at, { name, sha256 }] of applied.entries()) {
    const ours = migrations[at];
    if (ours?.name !== name || ours.sha256 !== sha256) throw otherVersion(name, ours);
  }
  const next = migrations[applied.length];
  if (next === undefined) return false;

  await tx.query({ text: next.sql });
  await tx.query({
    text: 'INSERT INTO migrations (name, sha256) VALUES ($1, $2)',
    values: [next.name, next.sha256],
  });
  return true;
}

function otherVersion(name: string, ours: Migration | undefined): CannotStart {
  const found =
    ours?.name === name
      ? `migration ${name} was changed since it ran on this database`
      : `this database has migration ${name}, which this version does not know`;
  return new CannotStart(
    `${found}: it belongs to another version of Roost. Until the first release, data is not carried over ` +
      'between versions: start afresh with an empty database (all in one: npm start -- --reset)',
  );
}

const PATIENT = { statementMs: 30 * MINUTE_MS, lockMs: 30 * MINUTE_MS, idleMs: 30 * MINUTE_MS };
/** Any number will do, as long as nobody else takes it: "roost" in ASCII. */
const LOCK_KEY = 0x726f_6f73_74;
