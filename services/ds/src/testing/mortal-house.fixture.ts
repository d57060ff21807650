import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { concat, toHex } from '@roost/core/bytes';
import { systemClock } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import type { DatabaseConfig } from '@roost/postgres/database';
import { DeliveryServiceDefinition } from '@roost/proto/roost/delivery/v1/delivery';
import { clientOf, connect } from '@roost/rpc/client';
import { freshDatabase } from '@roost/testing/postgres';
import type { FreshDatabase } from '@roost/testing/postgres';
import type { FaultPoint } from '../desk.ts';
import { migrations } from '../service.ts';
import { home, hubKey } from './house.fixture.ts';
import type { DeliveryClient } from './house.fixture.ts';
import { TestReceiver } from './receiver.fixture.ts';

/** What a DS stands on; keys in hex. */
export interface Place {
  readonly database: DatabaseConfig;
  readonly bus: string;
  readonly transportKey: string;
  readonly hubKey: string;
}

export type Order =
  | { readonly kind: 'open'; readonly place: Place }
  | {
      readonly kind: 'doom';
      readonly points: readonly FaultPoint[];
      readonly after: number;
      readonly signal: Doom;
    };

/** What becomes of it at a step: the end, or a sleep that others may end. */
export type Doom = 'SIGKILL' | 'SIGSTOP';

/** The step that was the last, and how many statements had been about to be made by then. */
export interface Death {
  readonly point: FaultPoint;
  readonly statements: number;
}

const PROGRAM = join(import.meta.dirname, 'mortal-ds.fixture.ts');

/** A process that is about to be a DS: it is started ahead, as starting takes the longest. */
class Process {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor(cache: string) {
    const flags = ['--disable-warning=ExperimentalWarning', PROGRAM];
    // What was compiled for the first is there for all.
    const env = { NODE_COMPILE_CACHE: cache };
    this.#child = spawn(process.execPath, flags, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = once(this.#child, 'exit');
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('its output is piped');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  tell(order: Order): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  async hear(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the process ended too early');
    return value;
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** By what it ended. */
  async death(): Promise<NodeJS.Signals | null> {
    await this.#ended;
    return this.#child.signalCode;
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}

/** A database, a receiver that outlives everybody, and one DS after the other. */
export class MortalHouse implements AsyncDisposable {
  readonly receiver = new TestReceiver();
  readonly database: FreshDatabase;
  /** How many died. */
  deaths = 0;
  readonly #folder: string;
  readonly #bus: Server;
  #next: Process;
  #current: Process | undefined;
  #channel: Disposable | undefined;

  private constructor(database: FreshDatabase, folder: string) {
    this.database = database;
    this.#folder = folder;
    this.#next = new Process(folder);
    this.#bus = createServer({ allowHalfOpen: true }, (socket) => void this.#carry(socket));
  }

  static async open(): Promise<MortalHouse> {
    const database = await freshDatabase(migrations);
    const folder = await mkdtemp(join(tmpdir(), 'roost-mortal-'));
    const house = new MortalHouse(database, folder);
    house.#bus.listen(house.#path);
    await once(house.#bus, 'listening');
    return house;
  }

  /** Starts the next DS where the last one ended; it dies at the first of these steps after so many. */
  async start(
    points: readonly FaultPoint[] = [],
    after = 0,
    signal: Doom = 'SIGKILL',
  ): Promise<DeliveryClient> {
    const process = this.#next;
    this.#current = process;
    this.#next = new Process(this.#folder);
    await process.hear();
    process.tell({ kind: 'doom', points, after, signal });
    const { receiver, database } = this;
    const keys = { transportKey: toHex(receiver.transportKey), hubKey: toHex(hubKey) };
    const place = { database: database.config, bus: this.#path, ...keys };
    process.tell({ kind: 'open', place });
    const channel = connect(await process.hear());
    this.#channel = channel;
    const signing = { crypto: nodeCrypto, clock: systemClock, audience: home };
    return clientOf(DeliveryServiceDefinition, channel, signing);
  }

  /** Waits until the DS was killed and PostgreSQL noticed it. */
  async died(): Promise<Death> {
    const death = JSON.parse((await this.#current?.hear()) ?? '') as Death;
    const signal = await this.#current?.death();
    if (signal !== 'SIGKILL') throw new Error(`it ended otherwise: ${String(signal)}`);
    this.deaths++;
    this.#channel?.[Symbol.dispose]();
    await this.#alone();
    return death;
  }

  /** Waits until the DS sleeps at the step that it was told. */
  async frozen(): Promise<void> {
    await this.#current?.hear();
  }

  thaw(): void {
    this.#current?.thaw();
  }

  /** Ends the DS as an operator does. */
  async stop(): Promise<void> {
    this.#channel?.[Symbol.dispose]();
    await this.#current?.end();
    this.#current = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#next.end();
    this.#bus.close();
    await this.database[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, maxRetries: 5 });
  }

  get #path(): string {
    return join(this.#folder, 'bus');
  }

  /** What a dead process left open is rolled back once PostgreSQL notices. */
  async #alone(): Promise<void> {
    for (;;) {
      const others = await this.database.query({
        text: `SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND state <> 'idle'
                  AND pid <> pg_backend_pid()`,
      });
      if (others.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async #carry(socket: Socket): Promise<void> {
    const parts: Uint8Array[] = [];
    socket.on('error', () => socket.destroy());
    for await (const part of socket) parts.push(Uint8Array.from(part as Buffer));
    const [partition = 0] = parts[0] ?? [];
    const batch = concat(...parts).subarray(1);
    const answer = this.receiver.request(partition, batch, { timeoutMs: 1_000 });
    socket.end(await answer.catch(() => new Uint8Array(0)));
  }
}
