import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import type { Door } from '@roost/e2e/door';
import type { Hermitage } from './hermit.ts';

const SCRIPT = join(import.meta.dirname, 'hermit.ts');
/** A network of its own in which nothing is up, for whoever may make one; nobody has to be root. */
const ALONE = ['--user', '--map-root-user', '--net'];

/** Whether this machine lets somebody be without a network. */
export function mayBeAlone(): boolean {
  return spawnSync('unshare', [...ALONE, 'true'], { stdio: 'ignore' }).status === 0;
}

/** A client in a process that reaches the door of its homeserver, by a file, and nothing else. */
export class Hermit implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  output = '';

  private constructor(stack: AsyncDisposableStack, child: ChildProcess) {
    this.#stack = stack;
    this.#child = child;
    this.#ended = once(child, 'close');
    const hear = (text: Buffer): void => void (this.output += text.toString());
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
  }

  static async open(
    { address, ca }: Door,
    who: Pick<Hermitage, 'name' | 'others' | 'forbidden'>,
  ): Promise<Hermit> {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), 'roost-hermit-'));
    stack.defer(() => rmSync(folder, { recursive: true }));
    const door = join(folder, 'door');
    const [host, port] = address.split(':');
    const relay = createServer((near) => {
      const far = connect(Number(port), host);
      pipeline(near, far, near, () => undefined);
    });
    await once(relay.listen(door), 'listening');
    stack.defer(() => void relay.close());
    const hermitage: Hermitage = { door, ca, folder: join(folder, 'keys'), ...who };
    const run = [process.execPath, '--no-warnings', SCRIPT, JSON.stringify(hermitage)];
    const [command = '', ...args] = mayBeAlone() ? ['unshare', ...ALONE, ...run] : run;
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    return new Hermit(stack.move(), child);
  }

  /** Its exit code, once it is done. */
  async end(): Promise<number | null> {
    await this.#ended;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    await this.#stack.disposeAsync();
  }
}
