// What a newcomer does, as a program: start a homeserver in an empty folder, let two people talk in
// two terminals, stop it, and look whether anything is left. `--bundle` takes the programs of dist/, those of the
// separate services too.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { trySeparateServices } from './smoke-services.ts';
import { root } from './steps.ts';

const bundled = process.argv.includes('--bundle');
const PATIENCE_MS = 60_000;

/** A program under our eyes: what it printed, line by line, and how it ended. */
class Program {
  readonly name: string;
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<number | string>;
  #out = '';
  #err = '';
  #wake: () => void = () => undefined;

  constructor(name: string, command: readonly [string, ...string[]]) {
    this.name = name;
    const [file, ...args] = command;
    this.child = spawn(file, args, { cwd: root });
    this.child.stdout.on('data', (data: Buffer) => {
      this.#out += data.toString();
      this.#wake();
    });
    this.child.stderr.on('data', (data: Buffer) => {
      this.#err += data.toString();
      this.#wake();
    });
    // A program that ended cannot read; that it ended is found out elsewhere.
    this.child.stdin.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        resolve(code ?? signal ?? 'unknown');
        this.#wake();
      });
    });
  }

  type(line: string): void {
    process.stdout.write(`${this.name}> ${line}\n`);
    this.child.stdin.write(`${line}\n`);
  }

  /** The first line of the output that matches, seen or to come. */
  async line(pattern: RegExp): Promise<string> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = this.#lines().find((line) => pattern.test(line));
      if (found !== undefined) return found;
      const left = until - performance.now();
      if (left <= 0) throw new Error(`${this.name} did not say ${pattern} in ${PATIENCE_MS} ms`);
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        const code = await this.ended;
        if (this.#lines().some((line) => pattern.test(line))) continue;
        throw new Error(`${this.name} ended with ${code} before it said ${pattern}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** What it printed that is neither a message nor an event in one line. */
  strayLines(): string[] {
    const lines = this.#out.split('\n').slice(0, -1);
    return lines.filter((line) => !/^(\* |\[[^\]]+\] [^:]+: )\P{Cc}*$/u.test(line));
  }

  /** Its exit code, which is 0 where all went well. */
  async end(): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS);
    const code = await this.ended;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`${this.name} ended with ${code}`);
  }

  transcript(): string {
    return [this.#out, this.#err]
      .join('')
      .split('\n')
      .map((line) => `  ${this.name}| ${line}`)
      .join('\n');
  }

  /** Whole lines; npm start's log goes where it likes. */
  #lines(): string[] {
    return [...this.#out.split('\n').slice(0, -1), ...this.#err.split('\n').slice(0, -1)];
  }
}

const home = mkdtempSync(join(tmpdir(), 'roost smoke '));
// Where we are root, PostgreSQL is another user, and must be able to walk through.
chmodSync(home, 0o755);
const programs: Program[] = [];

function start(name: string, script: 'start' | 'chat', args: string[]): Program {
  const folder = { start: 'homeserver', chat: 'chat' }[script];
  const direct = [
    join(root, 'dist', folder, 'main.js'),
    ...(script === 'start' ? ['--development'] : []),
  ];
  const command: [string, ...string[]] = bundled
    ? [process.execPath, ...direct, ...args]
    : ['npm', 'run', '-s', script, '--', ...args];
  const program = new Program(name, command);
  programs.push(program);
  return program;
}

const chat = (name: string, address: string): Program =>
  start(name, 'chat', [name, '--server', address, '--data', join(home, name)]);

async function talk(): Promise<void> {
  const listen = `127.0.0.1:${await freePort()}`;
  const server = start('server', 'start', ['--listen', listen, '--data', join(home, 'server')]);
  const ready = await server.line(/^ready: /);
  process.stdout.write(`${ready}\n`);
  const address = ready.slice('ready: '.length).trim();

  // Registers, has nothing to do, and ends with its input.
  const registering = chat('bob', address);
  registering.child.stdin.end();
  await registering.end();

  const alice = chat('alice', address);
  alice.type('/connect bob');
  alice.type('hello bob, this waits for you');
  const bob = chat('bob', address);
  await bob.line(/^\* .*alice/);
  bob.type('/accept alice');
  await bob.line(/^\[alice\] alice: hello bob, this waits for you$/);
  bob.type('hello alice \u0007');
  await alice.line(/^\[bob\] bob: hello alice /);
  alice.type('//a slash, and é');
  await bob.line(/^\[alice\] alice: \/a slash, and é$/);
  alice.type('/quit');
  bob.child.stdin.end();
  await Promise.all([alice.end(), bob.end()]);
  const stray = [...alice.strayLines(), ...bob.strayLines()];
  if (stray.length > 0)
    throw new Error(`lines that say nothing to a program:\n${stray.join('\n')}`);

  const second = start('second', 'start', ['--listen', listen, '--data', join(home, 'server')]);
  if ((await second.ended) === 0) throw new Error('a second server started on the same data');

  server.child.kill('SIGTERM');
  await server.end();
}

/** A port of the loopback that nobody has right now. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Processes that have our folder on their command line. */
function leftovers(): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return line.includes(home) ? [`${pid} ${line}`] : [];
      } catch {
        return [];
      }
    });
}

try {
  if (bundled) await trySeparateServices(join(home, 'separate'));
  await talk();
  const left = leftovers();
  if (left.length > 0) throw new Error(`still running:\n${left.join('\n')}`);
  process.stdout.write('two people talked, and nothing is left running\n');
} catch (error) {
  process.exitCode = 1;
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  for (const program of programs) {
    process.stdout.write(`${program.transcript()}\n`);
    program.child.kill('SIGTERM');
  }
  await Promise.race([
    Promise.all(programs.map(({ ended }) => ended)),
    new Promise((resolve) => setTimeout(resolve, 10_000).unref()),
  ]);
  for (const line of leftovers()) process.kill(Number(line.split(' ')[0]), 'SIGKILL');
} finally {
  rmSync(home, { recursive: true, force: true });
}
