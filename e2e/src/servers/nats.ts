import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { natsPermissions } from '@roost/bus/nats-users';
import { assert } from '@roost/core/assert';
import type { NatsAddress } from './environment.ts';
import { fetchServer } from './fetch.ts';
import { Launched } from './launch.ts';
import { Run } from './run.ts';

/** Design §2: what goes between DS and QS is as large as this at most. */
const PAYLOAD_BYTES_MAX = 8 << 20;

interface Node {
  readonly name: string;
  readonly port: number;
  readonly clusterPort: number;
  readonly config: string;
  process: Launched | undefined;
}

/** A NATS of three, without anything on disk; each can be ended and comes back on its port. */
export class Nats implements AsyncDisposable {
  readonly passwords: Readonly<Record<string, string>>;
  readonly #program: string;
  readonly #folder: string;
  readonly #nodes: readonly Node[];

  private constructor(
    program: string,
    folder: string,
    nodes: readonly Node[],
    passwords: Readonly<Record<string, string>>,
  ) {
    this.#program = program;
    this.#folder = folder;
    this.#nodes = nodes;
    this.passwords = passwords;
  }

  static async open(size = 3): Promise<Nats> {
    const { path } = await fetchServer('nats-server');
    const run = Run.current();
    const folder = run.makeFolder('nats');
    const nodes: Node[] = [];
    for (let number = 1; number <= size; number++) {
      const [name, port, clusterPort] = [
        `nats-${number}`,
        await run.takePort(),
        await run.takePort(),
      ];
      const config = join(folder, `${name}.conf`);
      nodes.push({ name, port, clusterPort, config, process: undefined });
    }
    const passwords = Object.fromEntries(
      Object.keys(PERMISSIONS).map((user) => [user, randomBytes(16).toString('hex')]),
    );
    for (const node of nodes) writeFileSync(node.config, configOf(node, nodes, passwords));
    const nats = new Nats(path, folder, nodes, passwords);
    await nats.start();
    return nats;
  }

  get servers(): string[] {
    return this.#nodes.map(({ port }) => `127.0.0.1:${port}`);
  }

  get address(): NatsAddress {
    return { servers: this.servers, passwords: this.passwords };
  }

  /** Of those that run. */
  get pids(): number[] {
    return this.#running([]).map(({ pid }) => pid);
  }

  /** What they have said, one after the other. */
  said(): string {
    return this.#nodes.map(({ process }) => process?.said() ?? '').join('');
  }

  /** Those of these numbers (from 1 on), or all. */
  async start(...numbers: number[]): Promise<void> {
    const nodes = this.#those(numbers).filter(({ process }) => process?.isRunning !== true);
    await Promise.all(nodes.map((node) => this.#start(node)));
  }

  async stop(...numbers: number[]): Promise<void> {
    await Promise.all(this.#running(numbers).map((process) => process.stop()));
  }

  async kill(...numbers: number[]): Promise<void> {
    await Promise.all(this.#running(numbers).map((process) => process.kill()));
  }

  freeze(...numbers: number[]): void {
    for (const process of this.#running(numbers)) process.signal('SIGSTOP');
  }

  thaw(...numbers: number[]): void {
    for (const process of this.#running(numbers)) process.signal('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #those(numbers: readonly number[]): readonly Node[] {
    if (numbers.length === 0) return this.#nodes;
    return numbers.map((number) => {
      const node = this.#nodes[number - 1];
      assert(node !== undefined, `there is a NATS of the number ${number}`);
      return node;
    });
  }

  #running(numbers: readonly number[]): Launched[] {
    return this.#those(numbers).flatMap(({ process }) =>
      process?.isRunning === true ? process : [],
    );
  }

  async #start(node: Node): Promise<void> {
    // What it said at its last start does not count.
    const before = node.process?.said().length ?? 0;
    const process = await Launched.start({
      ...{ name: node.name, command: this.#program, args: ['-c', node.config] },
      ...{ logs: this.#folder, cwd: this.#folder },
    });
    node.process = process;
    await process.until(
      'ready',
      () => process.said().includes('Server is ready', before) || undefined,
    );
  }
}

/** The prefix is any, as the homeservers of a run share these servers. */
const PERMISSIONS = natsPermissions('*');

function configOf(
  { name, port, clusterPort }: Node,
  nodes: readonly Node[],
  passwords: Readonly<Record<string, string>>,
): string {
  const users = Object.entries(PERMISSIONS).map(([user, permissions]) => ({
    ...{ user, password: passwords[user], permissions },
  }));
  const routes = nodes.map((node) => `nats-route://127.0.0.1:${node.clusterPort}`);
  // The format of NATS takes JSON.
  return JSON.stringify(
    {
      server_name: name,
      listen: `127.0.0.1:${port}`,
      max_payload: PAYLOAD_BYTES_MAX,
      max_pending: 4 * PAYLOAD_BYTES_MAX,
      ping_interval: '5s',
      authorization: { users },
      // Clients keep to the addresses that they were given: a damaged line among them is not gone round.
      cluster: { name: 'roost', listen: `127.0.0.1:${clusterPort}`, routes, no_advertise: true },
    },
    null,
    2,
  );
}
