import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { sleep } from '@roost/core/time';

/**
 * Takes a data folder for this process alone: two would stop each other's database. The lock of a
 * process that is gone (kill -9) is taken over.
 */
export async function lockHome(home: string): Promise<Disposable> {
  const path = join(home, 'lock');
  const own = `${process.pid} ${startOf(process.pid)}\n`;
  const holder = take(path, own);
  if (holder !== undefined) throw taken(home, holder);

  // Where two found the same dead lock, the second has replaced the lock of the first.
  await sleep(SETTLE_MS);
  if (read(path) !== own) throw taken(home, Number.parseInt(read(path), 10));
  return {
    [Symbol.dispose]: () => {
      if (read(path) === own) unlinkSync(path);
    },
  };
}

/** Puts our lock there; gives the process that has it, if one has. */
function take(path: string, own: string): number | undefined {
  const offered = `${path}.${process.pid}`;
  writeFileSync(offered, own, { mode: 0o600 });
  try {
    linkSync(offered, path);
    unlinkSync(offered);
    return undefined;
  } catch {
    const [pid, start] = read(path).trim().split(' ');
    const holder = Number(pid);
    if (holder > 0 && start !== undefined && holder !== process.pid && startOf(holder) === start) {
      unlinkSync(offered);
      return holder;
    }
    renameSync(offered, path);
    return undefined;
  }
}

/** Two looks at one dead lock lie microseconds apart; this is a thousand times as long. */
const SETTLE_MS = 20;

function taken(home: string, holder: number): CannotStart {
  return new CannotStart(
    `another homeserver (process ${holder}) runs on ${home}: stop it first, or give this one a data ` +
      'folder of its own (--data)',
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** When a process began, so that a pid that was given out again is not taken for it; empty if it is gone. */
function startOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) !== 'EPERM') return '';
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces; the start is the 20th field after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // One that was killed and whose parent does not ask for it stays as a zombie: it is gone.
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return 'unknown';
  }
}
