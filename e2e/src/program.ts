import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const ROOT = new URL('../../', import.meta.url);

/** A program of ours in a process of its own, as its user starts it. */
export class Program {
  out = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(main: string, args: readonly string[]) {
    const flags = ['--disable-warning=ExperimentalWarning', main, ...args];
    this.#child = spawn(process.execPath, flags, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const hear = (text: Buffer): void => {
      this.out += text.toString();
      this.#child.emit('said');
    };
    this.#child.stdout?.on('data', hear);
    this.#child.stderr?.on('data', hear);
    this.#ended = once(this.#child, 'close');
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits for words in its output; refuses when it ends without them. */
  async says(words: RegExp): Promise<string> {
    while (!words.test(this.out) && this.isRunning) {
      await Promise.race([once(this.#child, 'said'), this.#ended]);
    }
    const found = words.exec(this.out);
    if (found === null) throw new Error(`it ended without ${String(words)}: ${this.out}`);
    return found[1] ?? found[0];
  }

  /** Its exit code, once it has ended; ended by the signal where one is given. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.#child.kill(signal);
    await this.#ended;
    return this.#child.exitCode;
  }
}
