import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CannotStart } from '@roost/core/cannot-start';
import type { Entry, Store, Write } from '../store.ts';

/**
 * The store of a client on Node: one SQLite file in a folder of the user's own. Every write is on
 * the disk when it resolves. The connection holds the file's lock from the beginning to the end, so
 * that the kernel gives it back however the process ends.
 */
export class NodeStore implements Store, Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  static open(folder: string): NodeStore {
    const database = openFile(folder);
    try {
      database.exec(`
        PRAGMA locking_mode = EXCLUSIVE;
        PRAGMA journal_mode = TRUNCATE;
        PRAGMA synchronous = FULL;
        BEGIN EXCLUSIVE;
        CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        COMMIT;
      `);
    } catch (error) {
      database.close();
      if (isBusy(error)) throw new CannotStart(`${folder} is in use by another running client`);
      throw unusable(folder, error);
    }
    return new NodeStore(database);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const row = this.#database.prepare('SELECT value FROM entries WHERE key = ?').get(key);
    return row === undefined ? undefined : bytesOf(row['value']);
  }

  async list(prefix: string): Promise<Entry[]> {
    // Keys are ASCII, so that U+10FFFF ends the range of those that begin with the prefix.
    const rows = this.#database
      .prepare('SELECT key, value FROM entries WHERE key >= ? AND key < ? ORDER BY key')
      .all(prefix, `${prefix}\u{10ffff}`);
    return rows.map((row) => ({ key: String(row['key']), value: bytesOf(row['value']) }));
  }

  async write(batch: readonly Write[]): Promise<void> {
    const put = this.#database.prepare('INSERT OR REPLACE INTO entries VALUES (?, ?)');
    const remove = this.#database.prepare('DELETE FROM entries WHERE key = ?');
    this.#database.exec('BEGIN');
    try {
      for (const { key, value } of batch) {
        if (value === undefined) remove.run(key);
        else put.run(key, value);
      }
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function openFile(folder: string): DatabaseSync {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, 'client.sqlite');
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    return new DatabaseSync(path);
  } catch (error) {
    throw unusable(folder, error);
  }
}

function unusable(folder: string, error: unknown): CannotStart {
  const why = error instanceof Error ? error.message : String(error);
  return new CannotStart(`${folder} cannot be used to keep data (${why}): give another folder`, {
    cause: error,
  });
}

function isBusy(error: unknown): boolean {
  return Object(error) === error && (error as { errcode?: unknown }).errcode === SQLITE_BUSY;
}

const SQLITE_BUSY = 5;

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError('an entry of the store is not bytes');
}
