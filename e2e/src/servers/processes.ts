import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { assert } from '@roost/core/assert';
import { SECOND_MS } from '@roost/core/time';
import { Launched } from './launch.ts';
import { Run } from './run.ts';

export const ROOT = join(import.meta.dirname, '../../..');

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ProcessOptions {
  /** `qs-1`: the service and the number of the replica. */
  readonly name: string;
  /** The program, from the root of the repository. */
  readonly main: string;
  readonly env: Environment;
  readonly address: string;
  readonly healthAddress: string;
  /** Where its log goes. */
  readonly logs: string;
}

/** How a process says it is doing. */
export interface Readiness {
  /** 200, 503; 0 where nobody answers. */
  readonly status: number;
  /** Names what does not answer. */
  readonly body: string;
}

/** One replica of a service, in a process of its own; it can be ended in any way, and comes back on its ports. */
export class ServiceProcess implements AsyncDisposable {
  readonly name: string;
  /** The mTLS port. */
  readonly address: string;
  readonly healthAddress: string;
  readonly #options: ProcessOptions;
  #process: Launched | undefined;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.address = options.address;
    this.healthAddress = options.healthAddress;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#process?.pid : undefined;
  }

  get isRunning(): boolean {
    return this.#process?.isRunning === true;
  }

  get env(): Environment {
    return this.#options.env;
  }

  /** Everything that it has said since its first start. */
  said(): string {
    return this.#process?.said() ?? '';
  }

  /** Starts it, and waits until it is ready; a running one stays. `env` is for this start alone. */
  async start(env: Environment = {}): Promise<void> {
    if (this.isRunning) return;
    await this.launch(env);
    await this.ready();
  }

  /** Starts it without waiting for anything. */
  async launch(env: Environment = {}): Promise<Launched> {
    const { name, main, logs } = this.#options;
    assert(!this.isRunning, 'a replica runs once');
    this.#process = await Launched.start({
      ...{ name, logs, cwd: ROOT },
      ...programOf(main, ['serve']),
      env: { ...cached(), ...this.#options.env, ...env },
    });
    return this.#process;
  }

  /** Waits until it says that it is ready. */
  async ready(patienceMs = 60 * SECOND_MS): Promise<void> {
    assert(this.#process !== undefined, 'it was started');
    await this.#process.until(
      'ready',
      async () => (await this.readiness()).status === 200 || undefined,
      patienceMs,
    );
  }

  /** What `/readyz` says. */
  async readiness(): Promise<Readiness> {
    return await this.ask('/readyz');
  }

  /** A page of its health port. */
  async ask(path: string): Promise<Readiness> {
    try {
      const answer = await fetch(`http://${this.healthAddress}${path}`, {
        signal: AbortSignal.timeout(5 * SECOND_MS),
        // Nothing is kept open for the next time.
        headers: { connection: 'close' },
      });
      return { status: answer.status, body: await answer.text() };
    } catch {
      return { status: 0, body: '' };
    }
  }

  /** SIGTERM, and its exit code. */
  async stop(patienceMs?: number): Promise<number> {
    if (this.#process === undefined || !this.isRunning) return 0;
    return await this.#process.stop('SIGTERM', patienceMs);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  freeze(): void {
    this.#process?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process?.signal('SIGCONT');
  }

  /** Waits for an end that somebody else has brought about: the exit code, or the signal. */
  async ended(): Promise<number | NodeJS.Signals> {
    assert(this.#process !== undefined, 'it was started');
    return await this.#process.exited;
  }

  /** Stops it as an operator does, and starts it. */
  async restart(env: Environment = {}): Promise<void> {
    await this.stop();
    await this.start(env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** How a program of ours ended, and all that it said. */
export interface Done {
  readonly status: number;
  readonly output: string;
}

/** Runs a program of ours to its end: `migrate`, `check`, `roostctl`. */
export async function runProgram(
  main: string,
  args: readonly string[],
  env: Environment = {},
): Promise<Done> {
  const { command, args: all } = programOf(main, args);
  const { PATH, HOME, TMPDIR } = process.env;
  const child = spawn(command, all, {
    cwd: ROOT,
    env: { PATH, HOME, TMPDIR, ...cached(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60 * SECOND_MS,
  });
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (output += text.toString()));
  const status = await new Promise<number>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done(code ?? 1));
  });
  return { status, output };
}

/** A whole homeserver is many programs made of the same modules: they are compiled once in a run. */
function cached(): Environment {
  return { NODE_COMPILE_CACHE: join(Run.current().folder, 'compiled') };
}

function programOf(main: string, args: readonly string[]) {
  const flags = ['--disable-warning=ExperimentalWarning', join(ROOT, main)];
  return { command: process.execPath, args: [...flags, ...args] };
}
