import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import type { Runner } from './binaries.ts';

/** Below the home. */
export const DATA_FOLDER = 'postgresql-18';

/** Who may do everything. */
export const SUPERUSER = 'postgres';

export interface Folders {
  readonly home: string;
  /** PostgreSQL's data, with its major version in the name: another major cannot read it. */
  readonly data: string;
  /** Where the socket lies. Only PostgreSQL's user and root can enter: that is the lock on its door. */
  readonly sockets: string;
  readonly log: string;
}

/** Makes the folders of an embedded PostgreSQL; says why where `runner` could not use them. */
export async function prepareFolders(given: string, runner: Runner): Promise<Folders> {
  const home = resolve(given);
  await makeFolder(home, runner.ids === undefined ? 0o700 : 0o711);
  const folders = {
    home,
    data: join(home, DATA_FOLDER),
    sockets: socketFolder(home),
    log: join(home, 'postgresql.log'),
  };
  await makeFolder(join(home, 'run'), runner.ids === undefined ? 0o700 : 0o711);
  await makeFolder(folders.sockets, 0o700);
  await checkOwner(folders.sockets, runner);
  await giveTo(folders.sockets, runner);
  checkReach(folders.sockets, runner);
  return folders;
}

export async function giveTo(path: string, { ids }: Runner): Promise<void> {
  if (ids !== undefined) await chown(path, ids.uid, ids.gid);
}

/** The path of a unix socket has at most 107 bytes, so a long home has its socket elsewhere. */
export function socketFolder(home: string): string {
  const inside = join(home, 'run', 'postgresql');
  if (Buffer.byteLength(join(inside, SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX) return inside;
  const name = createHash('sha256').update(home).digest('hex').slice(0, 12);
  return join(tmpdir(), `roost-${name}`);
}

const SOCKET_NAME = '.s.PGSQL.5432.lock';
const SOCKET_PATH_BYTES_MAX = 107;

async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    const made = await mkdir(path, { recursive: true, mode });
    // The umask may have taken away what others need to pass through.
    if (made !== undefined) await chmod(path, mode);
  } catch (error) {
    throw new CannotStart(
      `the folder ${path} cannot be made (${errorCode(error)}): choose another (--data)`,
      {
        cause: error,
      },
    );
  }
}

/** Below the temporary folder, somebody else could have been first. */
async function checkOwner(path: string, { ids }: Runner): Promise<void> {
  const found = await lstat(path);
  const owners = [process.getuid?.(), ids?.uid];
  if (found.isDirectory() && owners.includes(found.uid) && (found.mode & 0o022) === 0) return;
  throw new CannotStart(
    `the folder ${path} belongs to somebody else: remove it, or choose another data folder`,
  );
}

/** Whether PostgreSQL's user gets through all the folders above. */
function checkReach(path: string, { ids, name }: Runner): void {
  const done = spawnSync('/bin/sh', ['-c', 'cd -- "$1" && test -w .', 'sh', path], {
    cwd: '/',
    stdio: 'ignore',
    ...ids,
  });
  if (done.status === 0) return;
  throw new CannotStart(
    `PostgreSQL runs as the user ${name}, who cannot reach ${path}: choose a data folder outside of folders ` +
      'that are closed to others (--data)',
  );
}
