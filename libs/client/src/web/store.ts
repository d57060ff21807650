import { Failure } from '@roost/core/failure';
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Entry, Store, Write } from '../store.ts';
import { takeTurn, type Turnstile } from './turnstile.ts';

interface Schema extends DBSchema {
  entries: { key: string; value: Uint8Array };
  /** Under `OWNER` the page that may write. */
  owner: { key: string; value: string };
}

const OWNER = 'owner';

/**
 * The store of a client in a browser: one IndexedDB database, durable as strictly as the browser can. The page
 * that opens it last has it, and none before that writes any more: the database itself sees to that, where a page
 * was frozen and does not know yet.
 */
export class WebStore implements Store, Disposable {
  readonly #database: IDBPDatabase<Schema>;
  readonly #turnstile: Turnstile;
  readonly #self: string;

  private constructor(database: IDBPDatabase<Schema>, turnstile: Turnstile, self: string) {
    this.#database = database;
    this.#turnstile = turnstile;
    this.#self = self;
  }

  /** Waits until the page that has it open has closed it, three seconds at most. */
  static async open(name: string): Promise<WebStore> {
    const turnstile = await takeTurn(`roost ${name}`);
    try {
      const database = await openDB<Schema>(name, 2, {
        upgrade: (fresh, before) => {
          if (before < 1) fresh.createObjectStore('entries');
          if (before < 2) fresh.createObjectStore('owner');
        },
        // A page with a later version of this code asks for the database.
        blocking: (_current, _wanted, event) => (event.target as IDBDatabase).close(),
      });
      const self = crypto.randomUUID();
      await database.put('owner', self, OWNER);
      return new WebStore(database, turnstile, self);
    } catch (error) {
      turnstile[Symbol.dispose]();
      throw error;
    }
  }

  /** Resolves when a newer page wants it: close the client, and then this. */
  get wanted(): Promise<void> {
    return this.#turnstile.wanted;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#database.get('entries', key);
  }

  async list(prefix: string): Promise<Entry[]> {
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    const entries: Entry[] = [];
    const { store } = this.#database.transaction('entries');
    for await (const { key, value } of store.iterate(range)) entries.push({ key, value });
    return entries;
  }

  async write(batch: readonly Write[]): Promise<void> {
    const transaction = this.#database.transaction(['entries', 'owner'], 'readwrite', {
      durability: 'strict',
    });
    const entries = transaction.objectStore('entries');
    const done = transaction.done.then(
      () => undefined,
      (error: unknown) => error,
    );
    try {
      if ((await transaction.objectStore('owner').get(OWNER)) !== this.#self) {
        throw new Failure('LISTENER_REPLACED', 'a newer page has taken this client over');
      }
      // None is awaited by itself: `done` fails where any of them does.
      for (const { key, value } of batch) {
        if (value === undefined) void entries.delete(key).catch(() => undefined);
        else void entries.put(value, key).catch(() => undefined);
      }
    } catch (error) {
      transaction.abort();
      await done;
      throw error;
    }
    await transaction.done;
  }

  [Symbol.dispose](): void {
    this.#database.close();
    this.#turnstile[Symbol.dispose]();
  }
}
