import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '@roost/core/time';
import { PATIENCE_MS } from './patience.ts';
import type { Place } from './person.ts';

const MAIN = join(import.meta.dirname, '../../services/chat/src/main.ts');

/** The terminal client of somebody, in a process of its own with piped input. */
export class Chat {
  readonly #process: ChildProcess;
  output = '';
  errors = '';
  #read = 0;

  constructor({ address, ca, folder }: Place, name: string, ...options: string[]) {
    const where = ['--server', `${ca === undefined ? 'http' : 'https'}://${address}`];
    if (ca !== undefined) where.push('--tls-ca', caFile(folder, ca));
    where.push('--data', join(folder, name));
    const args = ['--disable-warning=ExperimentalWarning', MAIN, name, ...where, ...options];
    this.#process = spawn(process.execPath, args);
    this.#process.stdout?.on('data', (chunk: Buffer) => (this.output += String(chunk)));
    this.#process.stderr?.on('data', (chunk: Buffer) => (this.errors += String(chunk)));
  }

  /** Types lines; the last one is answered by a line that holds these words. */
  async type(line: string, answer?: string): Promise<string> {
    this.#process.stdin?.write(`${line}\n`);
    return answer === undefined ? '' : this.sees(answer);
  }

  /** The next line of output that holds these words; those before it are passed over. */
  async sees(words: string): Promise<string> {
    return this.#until(() => {
      const lines = this.output.split('\n').slice(0, -1);
      const at = lines.findIndex((line, index) => index >= this.#read && line.includes(words));
      if (at >= 0) this.#read = at + 1;
      return lines[at];
    }, words);
  }

  ready(): Promise<string> {
    return this.#until(() => (this.errors.includes('is ready') ? 'ready' : undefined), 'is ready');
  }

  /** Ends the input and returns the exit code. */
  async end(): Promise<number | null> {
    this.#process.stdin?.end();
    return this.exit();
  }

  async exit(): Promise<number | null> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      await once(this.#process, 'close');
    }
    return this.#process.exitCode;
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#process.kill(signal);
  }

  get lines(): string[] {
    return this.output.split('\n').slice(0, -1);
  }

  async #until(look: () => string | undefined, what: string): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (Date.now() > deadline) {
        throw new Error(`no line with "${what}" in\n${this.output}\n${this.errors}`);
      }
      await sleep(15);
    }
  }
}

/** The program is told of the authority by a file. */
function caFile(folder: string, ca: string): string {
  const path = join(folder, 'ca.pem');
  writeFileSync(path, ca);
  return path;
}
