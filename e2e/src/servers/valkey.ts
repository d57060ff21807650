import { connect } from 'node:net';
import { once } from 'node:events';
import { fetchServer } from './fetch.ts';
import { Launched } from './launch.ts';
import { Run } from './run.ts';

/** A Valkey (or Redis) of its own, which keeps nothing on disk. */
export class Valkey implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #program: string;
  #process: Launched | undefined;

  private constructor(port: number, folder: string, program: string) {
    this.port = port;
    this.#folder = folder;
    this.#program = program;
  }

  static async open(): Promise<Valkey> {
    const { path } = await fetchServer('valkey-server');
    const run = Run.current();
    const valkey = new Valkey(await run.takePort(), run.makeFolder('valkey'), path);
    await valkey.start();
    return valkey;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#process?.isRunning === true ? this.#process.pid : undefined;
  }

  get log(): string {
    return `${this.#folder}/valkey.log`;
  }

  /** On its port of before, empty; a running one stays. */
  async start(): Promise<void> {
    if (this.#process?.isRunning === true) return;
    this.#process = await Launched.start({
      name: 'valkey',
      command: this.#program,
      args: [
        ...['--bind', '127.0.0.1', '--port', String(this.port), '--dir', this.#folder],
        ...['--save', '', '--appendonly', 'no'],
      ],
      logs: this.#folder,
    });
    await this.#process.until(
      'ready',
      async () => (await this.#says('PING')) === 'PONG' || undefined,
    );
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** `SIGSTOP`: it takes connections, and answers nothing until it is thawed. */
  freeze(): void {
    this.#process?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process?.signal('SIGCONT');
  }

  /** Forgets everything. */
  async wipe(): Promise<void> {
    await this.#says('FLUSHALL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #says(command: string): Promise<string | undefined> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      socket.write(`${command}\r\n`);
      const [answer] = await once(socket, 'data');
      return String(answer).trim().replace(/^\+/, '');
    } catch {
      return undefined; // nobody listens yet
    } finally {
      socket.destroy();
    }
  }
}
