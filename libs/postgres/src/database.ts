import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { MINUTE_MS, SECOND_MS, backoffMs, sleep } from '@roost/core/time';
import pg from 'pg';
import { isAborted, isRetryable, translate } from './errors.ts';
import type { Executor, Query } from './executor.ts';
import { inSpan, noteStatement } from './trace.ts';
import { types } from './types.ts';

/** Where a database is: a URL, or a host (a folder, for a unix socket), role and name. */
export type DatabaseConfig =
  | { readonly url: string }
  | {
      readonly host: string;
      readonly user: string;
      readonly database: string;
      readonly password?: string | undefined;
    };

export interface TransactionOptions {
  readonly isolation?: 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE' | undefined;
  readonly statementMs?: number | undefined;
  readonly lockMs?: number | undefined;
  readonly idleMs?: number | undefined;
}

/** A pool of connections to one database. What goes wrong with the server is `UNAVAILABLE`. */
export class Database implements Executor, AsyncDisposable {
  readonly #pool: pg.Pool;

  constructor(config: DatabaseConfig, connectionsMax: number) {
    this.#pool = new pg.Pool({ ...poolConfig(config), max: connectionsMax });
    // The next query notices a lost connection. While a pool ends, `pg` drops its own listener before
    // the server has said goodbye, so that each connection needs one too: without it, a database
    // that stops right after us ends the process.
    this.#pool.on('error', ignore);
    this.#pool.on('connect', (client) => {
      client.on('error', ignore);
      client.query(KEEP_TO_INDEXES).catch(ignore);
    });
  }

  /** Runs one query outside of any transaction. */
  async query<Row extends object>({ name, text, values }: Query): Promise<Row[]> {
    return await inSpan(name ?? 'query', async () => {
      try {
        const result = await this.#pool.query<Row>(queryConfig(name, text, values, STATEMENT_MS));
        return result.rows;
      } catch (error) {
        throw translate(error, name);
      }
    });
  }

  /** Connections that are open, those of them that nobody uses, and who waits for one. */
  get connections(): { readonly open: number; readonly idle: number; readonly waiting: number } {
    const { totalCount: open, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { open, idle, waiting };
  }

  /**
   * Runs `fn` in a transaction, and once more, up to a bound, where it loses against another. So `fn` may
   * have no effect but by `tx`. Statements that do not wait for each other can be sent together
   * (`Promise.all`): they share a round trip.
   */
  async transaction<T>(
    fn: (tx: Executor) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return await inSpan('transaction', () => this.#attempts(fn, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #attempts<T>(fn: (tx: Executor) => Promise<T>, options: TransactionOptions): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(fn, options);
      } catch (error) {
        if (!isRetryable(error)) throw error;
        if (attempt === RETRIES_MAX) {
          throw new Failure('UNAVAILABLE', 'too many change the same thing', {}, error);
        }
        await sleep(backoffMs(attempt, RETRY_FIRST_MS, RETRY_LAST_MS, Math.random()));
      }
    }
  }

  async #attempt<T>(fn: (tx: Executor) => Promise<T>, options: TransactionOptions): Promise<T> {
    const client = await this.#connect();
    const tx = new Transaction(client, options.statementMs ?? STATEMENT_MS);
    try {
      const began = tx.begin(options);
      // Not waited for: the first statement goes out with it. Where it fails, so does the first.
      began.catch(ignore);
      const value = await fn(tx);
      await began;
      await tx.commit();
      client.release();
      return value;
    } catch (error) {
      await tx.rollback().then(
        () => client.release(),
        () => client.release(true),
      );
      throw error;
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw translate(error);
    }
  }
}

class Transaction implements Executor {
  readonly #client: pg.PoolClient;
  readonly #statementMs: number;
  #open = true;
  #failure: unknown;

  constructor(client: pg.PoolClient, statementMs: number) {
    this.#client = client;
    this.#statementMs = statementMs;
  }

  async query<Row extends object>({ name, text, values }: Query): Promise<Row[]> {
    assert(this.#open, 'a transaction is not used after its end');
    noteStatement(name);
    return (await this.#run<Row>(name, text, values)).rows;
  }

  /** One round trip for all of it. */
  async begin(options: TransactionOptions): Promise<void> {
    const limits = [
      `SET LOCAL statement_timeout = ${this.#statementMs}`,
      `SET LOCAL lock_timeout = ${options.lockMs ?? LOCK_MS}`,
      `SET LOCAL idle_in_transaction_session_timeout = ${options.idleMs ?? IDLE_MS}`,
    ];
    const isolation = options.isolation ?? 'READ COMMITTED';
    await this.#run(undefined, `BEGIN ISOLATION LEVEL ${isolation}; ${limits.join('; ')}`);
  }

  async commit(): Promise<void> {
    this.#open = false;
    const { command } = await this.#run(undefined, 'COMMIT');
    // After a failed statement whose error `fn` kept to itself, PostgreSQL answers COMMIT so.
    assert(command === 'COMMIT', 'no error inside a transaction is swallowed');
  }

  async rollback(): Promise<void> {
    this.#open = false;
    await this.#run(undefined, 'ROLLBACK');
  }

  async #run<Row extends object>(
    name: string | undefined,
    text: string,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<Row>> {
    try {
      return await this.#client.query<Row>(queryConfig(name, text, values, this.#statementMs));
    } catch (error) {
      const failure = translate(error, name);
      // Of statements that were sent together, those behind the one that failed fail for its reason.
      if (this.#failure !== undefined && isAborted(failure)) throw this.#failure;
      this.#failure ??= failure;
      throw failure;
    }
  }
}

/**
 * A table that is often empty (an outbox, a queue) looks free to scan right after it was vacuumed. The plan
 * is kept, the table grows by thousands of rows before the next look, and each read would go through all.
 */
const KEEP_TO_INDEXES = 'SET enable_seqscan = off';

const STATEMENT_MS = 20 * SECOND_MS;
const LOCK_MS = 10 * SECOND_MS;
const IDLE_MS = 30 * SECOND_MS;
/** How much longer than the server we wait, before a connection counts as dead. */
const SILENCE_MS = 5 * SECOND_MS;
const CONNECT_MS = 10 * SECOND_MS;
const CONNECTION_IDLE_MS = 5 * MINUTE_MS;
const RETRIES_MAX = 8;
const RETRY_FIRST_MS = 5;
const RETRY_LAST_MS = 300;

function queryConfig(
  name: string | undefined,
  text: string,
  values: readonly unknown[] | undefined,
  statementMs: number,
): pg.QueryConfig & { query_timeout: number } {
  return {
    text,
    query_timeout: statementMs + SILENCE_MS,
    ...(name === undefined ? {} : { name }),
    ...(values === undefined ? {} : { values: [...values] }),
  };
}

function poolConfig(config: DatabaseConfig): pg.PoolConfig & { pipeline: boolean } {
  // The environment (PGPORT, PGSSLMODE) has no say where the place is told in full.
  const place =
    'url' in config ? { connectionString: config.url } : { port: 5432, ssl: false, ...config };
  return {
    ...place,
    types,
    pipeline: true,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: CONNECTION_IDLE_MS,
  };
}

function ignore(): void {}
