import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { backoffMs, sleep } from '@roost/core/time';
import { type Binaries, type Runner, findBinaries, findRunner } from './binaries.ts';
import { Database, type DatabaseConfig } from './database.ts';
import { type Folders, giveTo, prepareFolders, SUPERUSER } from './folders.ts';
import {
  POSTGRES_ENVIRONMENT,
  type Postmaster,
  startPostmaster,
  stopOrphan,
  stopPostmaster,
} from './postmaster.ts';

export interface EmbeddedOptions {
  /** The caller holds its lock: two clusters on one home would stop each other. */
  readonly home: string;
  /** False for tests only: nothing is safe from a crash of the machine. */
  readonly fsync?: boolean | undefined;
  readonly log: (text: string) => void;
}

/** A PostgreSQL 18 of our own: no port, a unix socket that only its user and we can reach. */
export interface Embedded extends AsyncDisposable {
  readonly home: string;
  readonly host: string;
  readonly pid: () => number;
  readonly superuser: (database: string) => DatabaseConfig;
  /** To be called after the pools have ended. */
  readonly stop: () => Promise<void>;
}

/** Starts PostgreSQL on `<home>/postgresql-18`, made at the first start; one that dies is started anew. */
export async function startEmbedded({
  home,
  fsync = true,
  log,
}: EmbeddedOptions): Promise<Embedded> {
  const runner = findRunner();
  const folders = await prepareFolders(home, runner);
  const binaries = await findBinaries(runner, folders.home);
  await stopOrphan(folders.data, log);
  if (!existsSync(folders.data)) await initialise(binaries, folders, runner, fsync);
  await writeAccess(folders.data, runner);

  const settings = settingsOf(folders, fsync);
  const start = (): Promise<Postmaster> => startPostmaster(binaries, folders, runner, settings);
  const cluster = await supervise(start, log);
  return {
    home: folders.home,
    host: folders.sockets,
    pid: cluster.pid,
    superuser: (database) => ({ host: folders.sockets, user: SUPERUSER, database }),
    stop: cluster.stop,
    [Symbol.asyncDispose]: cluster.stop,
  };
}

/**
 * Makes a role and a database of its own for each name, and lets nobody else in. The passwords are
 * drawn once, into `<home>/secrets.json`.
 */
export async function ensureDatabases(
  cluster: Embedded,
  names: readonly string[],
): Promise<Record<string, DatabaseConfig>> {
  const passwordOf = await readPasswords(cluster.home, names);
  await using database = new Database(cluster.superuser('postgres'), 1);
  const found = await database.query<{ name: string; hasDatabase: boolean }>({
    text: `SELECT rolname AS name, EXISTS (SELECT FROM pg_database WHERE datname = rolname) AS "hasDatabase"
             FROM pg_roles WHERE rolname = ANY ($1::text[])`,
    values: [names],
  });
  for (const name of names) {
    assert(/^[a-z]+$/.test(name), 'a database is called by a plain word');
    const is = found.find((role) => role.name === name);
    const verb = is === undefined ? 'CREATE' : 'ALTER';
    const password = passwordOf(name);
    await database.query({ text: `${verb} ROLE "${name}" LOGIN PASSWORD '${password}'` });
    if (is?.hasDatabase !== true) {
      await database.query({
        text: `CREATE DATABASE "${name}" OWNER "${name}" STRATEGY file_copy`,
      });
    }
    await database.query({ text: `REVOKE ALL ON DATABASE "${name}" FROM PUBLIC` });
  }
  const configOf = (name: string): DatabaseConfig => ({
    host: cluster.host,
    user: name,
    database: name,
    password: passwordOf(name),
  });
  return Object.fromEntries(names.map((name) => [name, configOf(name)]));
}

async function initialise(
  { initdb }: Binaries,
  folders: Folders,
  runner: Runner,
  fsync: boolean,
): Promise<void> {
  // Under another name until it is whole: what a killed start left is thrown away.
  const unfinished = `${folders.data}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await giveTo(unfinished, runner);
  const args = [
    ...['-D', unfinished, '-U', SUPERUSER, '--encoding=UTF8', '--no-locale'],
    ...['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
    ...['--auth-local=peer', '--auth-host=scram-sha-256', ...(fsync ? [] : ['--no-sync'])],
  ];
  const child = spawn(initdb, args, {
    detached: true,
    cwd: '/',
    env: POSTGRES_ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...runner.ids,
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = await new Promise<number | null>((done) => {
    child.once('error', () => done(null));
    child.once('close', done);
  });
  if (status !== 0) {
    throw new CannotStart(
      `the database could not be made in ${folders.home}: ${said.trim().replaceAll('\n', '; ')}`,
    );
  }
  await rename(unfinished, folders.data);
}

/** The superuser is who we are by the word of the kernel (peer), services show their password. */
async function writeAccess(data: string, runner: Runner): Promise<void> {
  const us = [...new Set([userInfo().username, runner.name])];
  const map = us.map((name) => `roost "${name}" ${SUPERUSER}\n`).join('');
  const rules = `local all ${SUPERUSER} peer map=roost\nlocal all all scram-sha-256\n`;
  try {
    await writeFile(join(data, 'pg_ident.conf'), map, { mode: 0o600 });
    await writeFile(join(data, 'pg_hba.conf'), rules, { mode: 0o600 });
  } catch (error) {
    throw new CannotStart(
      `the database in ${data} cannot be opened: it was made by another user, or the disk is full or read-only`,
      { cause: error },
    );
  }
}

function settingsOf({ sockets }: Folders, fsync: boolean): string[] {
  return [
    'listen_addresses=',
    `unix_socket_directories="${sockets.replaceAll('"', '""')}"`,
    'unix_socket_permissions=0700',
    'max_connections=200',
    'jit=off',
    // Its log must hold none of the values that a failed statement names.
    'log_min_messages=log',
    'log_min_error_statement=panic',
    'log_error_verbosity=terse',
    'log_checkpoints=off',
    ...(fsync ? [] : ['fsync=off', 'full_page_writes=off']),
  ];
}

/** Keeps one running until it is told to stop. */
async function supervise(start: () => Promise<Postmaster>, log: (text: string) => void) {
  const stopping = new AbortController();
  let current = await start();

  const watch = async (): Promise<void> => {
    for (let failures = 0; ;) {
      await current.exited;
      if (stopping.signal.aborted) return;
      log('the database has stopped by itself; starting it again');
      try {
        current = await start();
        failures = 0;
        if (stopping.signal.aborted) await stopPostmaster(current);
      } catch (error) {
        log(String(error));
        await sleep(backoffMs(failures++, 200, 10_000, Math.random()), stopping.signal);
      }
    }
  };
  const watching = watch();

  return {
    pid: () => current.pid,
    stop: async (): Promise<void> => {
      stopping.abort();
      await stopPostmaster(current);
      await watching;
    },
  };
}

async function readPasswords(
  home: string,
  names: readonly string[],
): Promise<(name: string) => string> {
  const file = join(home, 'secrets.json');
  const known = await readFile(file, 'utf8').then(
    (text): unknown => JSON.parse(text),
    (error: unknown): unknown => {
      if (errorCode(error) === 'ENOENT') return {};
      throw error;
    },
  );
  const passwords = new Map<string, string>();
  if (typeof known === 'object' && known !== null && 'passwords' in known) {
    for (const [name, password] of Object.entries(known.passwords ?? {})) {
      if (/^[0-9a-f]{64}$/.test(String(password))) passwords.set(name, String(password));
    }
  }
  const missing = names.filter((name) => !passwords.has(name));
  if (missing.length > 0) {
    for (const name of missing) passwords.set(name, randomBytes(32).toString('hex'));
    const text = JSON.stringify(
      { ...Object(known), passwords: Object.fromEntries(passwords) },
      null,
      2,
    );
    await writeFile(`${file}.new`, `${text}\n`, { mode: 0o600, flush: true });
    await rename(`${file}.new`, file);
  }
  return (name) => {
    const password = passwords.get(name);
    assert(password !== undefined, 'a password was drawn for each database');
    return password;
  };
}
