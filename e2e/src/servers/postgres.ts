import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findBinaries, findRunner } from '@roost/postgres/binaries';
import { Database } from '@roost/postgres/database';
import { startEmbedded } from '@roost/postgres/embedded';
import { prepareFolders } from '@roost/postgres/folders';
import { POSTGRES_ENVIRONMENT } from '@roost/postgres/postmaster';
import { sleep } from '@roost/core/time';
import { Launched } from './launch.ts';
import { Run } from './run.ts';

export interface PostgresOptions {
  /** Beside ours, as `name=value`. */
  readonly settings?: readonly string[];
}

/** A PostgreSQL 18 of its own on a loopback port; it comes back only when it is told to. */
export class Postgres implements AsyncDisposable {
  readonly port: number;
  readonly #home: string;
  readonly #settings: readonly string[];
  #process: Launched | undefined;

  private constructor(port: number, home: string, settings: readonly string[]) {
    this.port = port;
    this.#home = home;
    this.#settings = settings;
  }

  static async open({ settings = [] }: PostgresOptions = {}): Promise<Postgres> {
    const run = Run.current();
    const home = run.makeFolder('postgres');
    await initialise(home);
    const postgres = new Postgres(await run.takePort(), home, settings);
    await postgres.start();
    return postgres;
  }

  /** The superuser's. */
  get url(): string {
    return `postgres://postgres:${PASSWORD}@127.0.0.1:${this.port}/postgres`;
  }

  get log(): string {
    return join(this.#home, 'postgres.log');
  }

  get pid(): number | undefined {
    return this.#process?.isRunning === true ? this.#process.pid : undefined;
  }

  /** On its port of before, with all its data; a running one stays. */
  async start(): Promise<void> {
    if (this.#process?.isRunning === true) return;
    const runner = findRunner();
    const { data, sockets } = await prepareFolders(this.#home, runner);
    const { postgres } = await findBinaries(runner, this.#home);
    const settings = [
      ...['listen_addresses=127.0.0.1', `port=${this.port}`, `unix_socket_directories=${sockets}`],
      ...['max_connections=400', 'jit=off', 'fsync=off', 'full_page_writes=off'],
      // As the embedded one: its log must hold none of the values that a failed statement names.
      ...['log_min_messages=log', 'log_min_error_statement=panic', 'log_error_verbosity=terse'],
      ...this.#settings,
    ];
    for (let attempt = 0; ; attempt++) {
      const process = await Launched.start({
        name: 'postgres',
        command: postgres,
        args: ['-D', data, ...settings.flatMap((setting) => ['-c', setting])],
        env: POSTGRES_ENVIRONMENT,
        cwd: '/',
        logs: this.#home,
        lastSignal: 'SIGINT',
        ids: runner.ids,
      });
      this.#process = process;
      try {
        await process.until('ready', () => this.#isReady());
        return;
      } catch (error) {
        // The backends of one that was killed need a moment to notice it.
        if (attempt === 40 || process.isRunning) throw error;
        await sleep(250);
      }
    }
  }

  /** Open connections are cut, nothing is lost. */
  async stop(): Promise<void> {
    await this.#process?.stop('SIGINT');
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #isReady(): Promise<true | undefined> {
    await using database = new Database({ url: this.url }, 1);
    return await database.query({ text: 'SELECT' }).then(
      () => true,
      () => undefined,
    );
  }
}

/** On loopback, in a temporary folder, for the time of a test. */
const PASSWORD = 'postgres';

async function initialise(home: string): Promise<void> {
  await using cluster = await startEmbedded({ home, fsync: false, log: () => undefined });
  {
    await using database = new Database(cluster.superuser('postgres'), 1);
    await database.query({ text: `ALTER ROLE postgres PASSWORD '${PASSWORD}'` });
  }
  await cluster.stop();
  const { data } = await prepareFolders(home, findRunner());
  writeFileSync(join(data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n');
}
