import { createInterface, type Interface } from 'node:readline';

/**
 * Lines in, lines out. In a terminal, what comes in does not tear what is being typed; elsewhere
 * there is nothing but the lines.
 */
export class Screen {
  readonly isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  readonly #input: Interface;
  #prompt = '> ';

  constructor() {
    const terminal = this.isTerminal;
    this.#input = createInterface({
      input: process.stdin,
      crlfDelay: Number.POSITIVE_INFINITY,
      terminal,
      ...(terminal ? { output: process.stdout } : {}),
    });
    // Whoever reads us has gone: there is nobody to tell.
    process.stdout.on('error', () => process.exit(1));
  }

  /** The lines of the input, one after the other, until it ends or the signal is aborted. */
  async *lines(signal: AbortSignal): AsyncGenerator<string> {
    const close = (): void => this.#input.close();
    signal.addEventListener('abort', close);
    if (signal.aborted) close();
    this.#show();
    for await (const line of this.#input) {
      if (signal.aborted) return;
      yield line;
      this.#show();
    }
  }

  print(line: string): void {
    if (!this.isTerminal) {
      process.stdout.write(`${line}\n`);
      return;
    }
    process.stdout.write(`\r\u001b[K${line}\n`);
    this.#input.prompt(true);
  }

  /** What stands before the line that is typed. */
  set chat(label: string | undefined) {
    this.#prompt = label === undefined ? '> ' : `[${label}] > `;
    this.#input.setPrompt(this.#prompt);
  }

  close(): void {
    this.#input.close();
  }

  #show(): void {
    if (this.isTerminal) this.#input.prompt();
  }
}
