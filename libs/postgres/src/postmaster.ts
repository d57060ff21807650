import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import type { Binaries, Runner } from './binaries.ts';
import type { Folders } from './folders.ts';

export interface Postmaster {
  readonly pid: number;
  /** Ends when the process has. */
  readonly exited: Promise<void>;
}

/** Nothing of ours is passed on: neither PG* variables nor a language. */
export const POSTGRES_ENVIRONMENT = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

/** Starts PostgreSQL and waits until it takes connections. */
export async function startPostmaster(
  { postgres }: Binaries,
  folders: Folders,
  runner: Runner,
  settings: readonly string[],
): Promise<Postmaster> {
  for (let attempt = 1; ; attempt++) {
    const log = await open(folders.log, 'w', 0o600);
    const child = launch(postgres, ['-D', folders.data, ...settings.flatMap((s) => ['-c', s])], {
      // A process group of its own: Ctrl-C in the terminal is for us, who stop it when all is drained.
      detached: true,
      cwd: '/',
      env: POSTGRES_ENVIRONMENT,
      stdio: ['ignore', log.fd, log.fd],
      ...runner.ids,
    });
    const exited = new Promise<void>((done) => {
      child.once('exit', () => done());
      child.once('error', () => done());
    });
    await log.close();
    if (child.pid !== undefined && (await isReady(child, folders.data))) {
      child.unref();
      return { pid: child.pid, exited };
    }
    const said = await lastWords(folders.log);
    // Backends of a killed postmaster need a moment to notice, and its own pid one to be free: until
    // somebody has taken note of its end, it looks alive.
    if (attempt < 20 && /still in use|lock file .* already exists/.test(said)) {
      await sleep(250);
      continue;
    }
    throw new CannotStart(`PostgreSQL did not start: ${said} (all of it in ${folders.log})`);
  }
}

/** Stops it: politely at first (open connections are cut, nothing is lost), in the end by force. */
export async function stopPostmaster({ pid, exited }: Postmaster): Promise<void> {
  const phases = [
    ['SIGINT', 30 * SECOND_MS],
    ['SIGQUIT', 10 * SECOND_MS],
    ['SIGKILL', 10 * SECOND_MS],
  ] as const;
  for (const [signal, patienceMs] of phases) {
    if (!send(pid, signal)) return;
    if (await endsWithin(exited, patienceMs)) return;
  }
}

/**
 * Stops a PostgreSQL on this data that outlived the process that started it (kill -9). The caller
 * holds the lock of the home, so whoever runs on it is an orphan. The pid in the file may belong to
 * anyone by now, so its command line is compared first.
 */
export async function stopOrphan(data: string, log: (text: string) => void): Promise<void> {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 1 || !commandLine(pid).includes(data)) return;

  log('stopping the database that an earlier run left behind');
  await stopPostmaster({ pid, exited: whenGone(pid, data) });
  if (commandLine(pid).includes(data)) {
    throw new CannotStart(`the process ${pid} still uses ${data}: stop it, then start again`);
  }
}

/**
 * On Linux the kernel is asked to stop PostgreSQL when we are gone, however we went. Where setpriv is
 * missing, the next start finds the orphan.
 */
function launch(
  postgres: string,
  args: readonly string[],
  options: Parameters<typeof spawn>[2],
): ChildProcess {
  return existsSync(SETPRIV)
    ? spawn(SETPRIV, ['--pdeathsig', 'INT', '--', postgres, ...args], options)
    : spawn(postgres, args, options);
}

const SETPRIV = '/usr/bin/setpriv';
const POLL_MS = 5;
/** Recovery after a crash can take long; as long as the process lives, it is at work. */
const READY_MS = 10 * MINUTE_MS;

async function isReady(child: ChildProcess, data: string): Promise<boolean> {
  const until = Date.now() + READY_MS;
  while (Date.now() < until && child.exitCode === null && child.signalCode === null) {
    const lines = await readFile(join(data, 'postmaster.pid'), 'utf8').then(
      (text) => text.split('\n'),
      () => [],
    );
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** The last lines that say what was wrong. */
async function lastWords(log: string): Promise<string> {
  const lines = (await readFile(log, 'utf8')).trim().split('\n');
  const bad = lines.filter((line) => /FATAL|PANIC|ERROR|error|HINT/.test(line));
  return (bad.length > 0 ? bad : lines).slice(-2).join('; ') || 'it said nothing';
}

async function whenGone(pid: number, data: string): Promise<void> {
  while (commandLine(pid).includes(data)) await sleep(10 * POLL_MS);
}

async function endsWithin(exited: Promise<void>, ms: number): Promise<boolean> {
  const patience = new AbortController();
  const ended = await Promise.race([
    exited.then(() => true),
    sleep(ms, patience.signal).then(() => false),
  ]);
  patience.abort();
  return ended;
}

function commandLine(pid: number): string {
  if (existsSync('/proc/self/cmdline')) {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return '';
    }
  }
  const done = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  return done.status === 0 ? done.stdout : '';
}

/** Whether there was anyone to hear it. */
function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
