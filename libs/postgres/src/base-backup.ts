import { spawnSync } from 'node:child_process';
import type { Dirent } from 'node:fs';
import { chmod, chown, constants, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { MINUTE_MS } from '@roost/core/time';
import { findRunner, type Runner } from './binaries.ts';
import { Database } from './database.ts';
import type { Executor } from './executor.ts';
import { DATA_FOLDER, socketFolder, SUPERUSER } from './folders.ts';

/**
 * Copies an embedded PostgreSQL while it runs: all its databases as of one moment, the end of the copy.
 * The same as `pg_basebackup --wal-method=fetch`, which does not come with it: pages that change meanwhile
 * are mended by the log, which is kept until it is copied too.
 */
export async function backUpCluster(home: string, target: string): Promise<void> {
  const [from, to] = [join(resolve(home), DATA_FOLDER), join(target, DATA_FOLDER)];
  const config = { host: socketFolder(resolve(home)), user: SUPERUSER, database: 'postgres' };
  await using database = new Database(config, 1);
  await mkdir(to, { mode: 0o700 });
  // One session from beginning to end: with it a backup that was given up ends.
  await database.transaction(async (tx) => {
    const first = await begin(tx);
    await copyFolder(from, to, (path) => !isLeftOut(path));
    const { label, last } = await end(tx);
    await copyLog(join(from, WAL), join(to, WAL), { first, last });
    await writeFile(join(to, 'backup_label'), label, { mode: 0o600, flush: true });
  }, PATIENT);
  flushAll(to);
}

/** Puts a copy where an embedded PostgreSQL looks for its data, as its user's own; nothing may be there. */
export async function putClusterBack(backup: string, home: string): Promise<void> {
  const runner = findRunner();
  const [from, to] = [join(backup, DATA_FOLDER), join(resolve(home), DATA_FOLDER)];
  await mkdir(to, { mode: 0o700 });
  await copyFolder(from, to, () => true);
  await giveAll(to, runner);
  flushAll(to);
}

async function begin(tx: Executor): Promise<string> {
  // The log from here on stays as long as this session does.
  await tx.query({
    text: `SELECT pg_create_physical_replication_slot('roostctl_' || pg_backend_pid(), true, true)`,
  });
  const [begun] = await tx.query<{ first: string }>({
    text: `SELECT pg_walfile_name(pg_backup_start('roostctl', true)) AS first`,
  });
  return begun?.first ?? '';
}

async function end(tx: Executor): Promise<{ label: string; last: string }> {
  const [ended] = await tx.query<{ label: string; last: string }>({
    text: `SELECT labelfile AS label, pg_walfile_name(lsn) AS last FROM pg_backup_stop(false)`,
  });
  if (ended === undefined) throw new CannotStart('PostgreSQL did not end the backup: make another');
  return ended;
}

async function copyLog(
  from: string,
  to: string,
  { first, last }: { readonly first: string; readonly last: string },
): Promise<void> {
  const segments = (await readdir(from)).filter((name) => /^[0-9A-F]{24}$/.test(name));
  const needed = segments.filter((name) => name >= first && name <= last).toSorted();
  if (needed[0] !== first || needed.at(-1) !== last) {
    throw new CannotStart('PostgreSQL did not keep its log for the backup: make another');
  }
  for (const name of needed) await copyOne(join(from, name), join(to, name));
}

/** Of each folder what `isTaken` says; what is deleted meanwhile is none that a restored one needs. */
async function copyFolder(
  from: string,
  to: string,
  isTaken: (path: string) => boolean,
  inside = '',
): Promise<void> {
  const entries = await readdir(join(from, inside), { withFileTypes: true }).catch(gone<Dirent[]>);
  for (const entry of entries ?? []) {
    const path = join(inside, entry.name);
    if (!isTaken(path)) continue;
    if (entry.isDirectory()) {
      await mkdir(join(to, path), { mode: 0o700 });
      await copyFolder(from, to, isTaken, path);
    } else if (entry.isFile()) {
      await copyOne(join(from, path), join(to, path)).catch(gone);
    }
  }
}

async function copyOne(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL);
  await chmod(to, 0o600);
}

/** All files at once: each by itself would take as long as a thousand rotations of a disk. */
function flushAll(folder: string): void {
  const done = spawnSync('sync', ['-f', folder], { stdio: 'ignore' });
  // Not every system has it; then they are written a little later.
  if (done.status !== 0) spawnSync('sync', { stdio: 'ignore' });
}

async function giveAll(path: string, runner: Runner): Promise<void> {
  if (runner.ids === undefined) return;
  const { uid, gid } = runner.ids;
  for (const name of await readdir(path, { recursive: true })) {
    await chown(join(path, name), uid, gid);
  }
  await chown(path, uid, gid);
}

function gone<T>(error: unknown): T | undefined {
  if (errorCode(error) === 'ENOENT') return undefined;
  throw error;
}

/** What PostgreSQL makes anew at its start, or what is of the process that runs. */
function isLeftOut(path: string): boolean {
  const [folder = '', ...inside] = path.split('/');
  return (inside.length > 0 && EMPTIED.has(folder)) || LEFT_OUT.test(basename(path));
}

const WAL = 'pg_wal';
const EMPTIED: ReadonlySet<string> = new Set([
  ...[WAL, 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp'],
  'pg_subtrans',
]);
const LEFT_OUT =
  /^(postmaster\.(pid|opts)|backup_label(\.old)?|tablespace_map(\.old)?|pg_internal\.init.*|pgsql_tmp.*)$/;
const PATIENT = { statementMs: 60 * MINUTE_MS, lockMs: MINUTE_MS, idleMs: 60 * MINUTE_MS };
