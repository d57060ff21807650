import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { SECOND_MS, sleep } from '@roost/core/time';
import { Run } from './run.ts';

export interface Launch {
  /** Names its log, `<name>.log`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** All of its environment but PATH, HOME, TMPDIR and LANG. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** The folder of its log; each start writes on. */
  readonly logs: string;
  /** What ends it where nobody else did. */
  readonly lastSignal?: NodeJS.Signals;
  readonly ids?: { readonly uid: number; readonly gid: number } | undefined;
}

/** A process that we started, with all that it says in a file. */
export class Launched {
  readonly name: string;
  readonly pid: number;
  readonly log: string;
  /** Resolves with how it ended: its exit code, or the signal. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcess;

  private constructor(name: string, log: string, child: ChildProcess) {
    assert(child.pid !== undefined, 'what was launched has a pid');
    this.name = name;
    this.log = log;
    this.pid = child.pid;
    this.#child = child;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
    });
  }

  /** Starts it in a process group of its own: Ctrl-C in the terminal is for the run. */
  static async start({ name, command, args, logs, ...launch }: Launch): Promise<Launched> {
    const run = Run.current();
    const path = join(logs, `${name}.log`);
    const log = openSync(path, 'a', 0o600);
    const child = spawn(command, args, {
      cwd: launch.cwd ?? run.folder,
      env: environmentOf(launch.env),
      detached: true,
      stdio: ['ignore', log, log],
      ...launch.ids,
    });
    closeSync(log);
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const launched = new Launched(name, path, child);
    run.register(launched.pid, launch.lastSignal);
    void launched.exited.then(() => {
      if (existsSync(run.folder)) run.forget(launched.pid);
    });
    // It may outlast a test that failed; the run, not we, waits for it.
    child.unref();
    return launched;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything that it has said so far. */
  said(): string {
    return readFileSync(this.log, 'utf8');
  }

  /** SIGSTOP and SIGCONT too; nothing happens to one that has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) process.kill(this.pid, signal);
  }

  /** `kill -9`, and waits for the end. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    this.#child.ref();
    await this.exited;
  }

  /** Asks it to end; one that does not within its time is killed, which is an error. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', patienceMs = 20 * SECOND_MS): Promise<number> {
    this.signal(signal);
    this.#child.ref();
    const patience = new AbortController();
    const ended = await Promise.race([
      this.exited,
      sleep(patienceMs, patience.signal).then(() => undefined),
    ]);
    patience.abort();
    if (ended === undefined) {
      await this.kill();
      throw new Error(`${this.name} did not end within ${patienceMs} ms of ${signal}`);
    }
    return typeof ended === 'number' ? ended : 1;
  }

  /**
   * Waits until `look` finds something; throws with the last words of the process when that takes too long or the
   * process ends before.
   */
  async until<T>(
    what: string,
    look: () => Promise<T | undefined> | T | undefined,
    patienceMs = 60 * SECOND_MS,
  ): Promise<T> {
    for (const end = Date.now() + patienceMs; ; await sleep(20)) {
      const found = await look();
      if (found !== undefined) return found;
      if (this.isRunning && Date.now() < end) continue;
      const how = this.isRunning ? `within ${patienceMs} ms` : 'and ended';
      throw new Error(`${this.name} was not ${what} ${how}:\n${lastLines(this.said())}`);
    }
  }
}

/** The end of a log, as a failure shows it. */
export function lastLines(text: string, count = 30): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

const KEPT = ['PATH', 'HOME', 'TMPDIR', 'LANG'];

function environmentOf(env: Launch['env'] = {}): NodeJS.ProcessEnv {
  const kept = KEPT.map((name) => [name, process.env[name]] as const);
  const all = [...kept, ...Object.entries(env)].filter(([, value]) => value !== undefined);
  return Object.fromEntries(all);
}
