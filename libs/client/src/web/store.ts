import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Entry, Store, Write } from '../store.ts';

interface Schema extends DBSchema {
  entries: { key: string; value: Uint8Array };
}

/**
 * The store of a client in a browser: one IndexedDB database, durable as strictly as the browser
 * can. The page that opens it first keeps it: the lock goes with the page, however that ends.
 */
export class WebStore implements Store, Disposable {
  readonly #database: IDBPDatabase<Schema>;
  readonly #unlock: () => void;

  private constructor(database: IDBPDatabase<Schema>, unlock: () => void) {
    this.#database = database;
    this.#unlock = unlock;
  }

  /** `undefined` where another page of this browser has it open. */
  static async open(name: string): Promise<WebStore | undefined> {
    const unlock = await lock(`roost ${name}`);
    if (unlock === undefined) return undefined;
    const database = await openDB<Schema>(name, 1, {
      upgrade: (fresh) => void fresh.createObjectStore('entries'),
    });
    return new WebStore(database, unlock);
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
    const transaction = this.#database.transaction('entries', 'readwrite', {
      durability: 'strict',
    });
    const done = transaction.done.then(
      () => undefined,
      (error: unknown) => error,
    );
    try {
      // None is awaited by itself: `done` fails where any of them does.
      for (const { key, value } of batch) {
        if (value === undefined) void transaction.store.delete(key).catch(() => undefined);
        else void transaction.store.put(value, key).catch(() => undefined);
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
    this.#unlock();
  }
}

/** Takes a lock of the browser; where it has none (before 2022), pages must keep apart themselves. */
async function lock(name: string): Promise<(() => void) | undefined> {
  const locks = 'locks' in globalThis.navigator ? globalThis.navigator.locks : undefined;
  if (locks === undefined) return () => undefined;
  return new Promise((resolve, reject) => {
    const held = locks.request(name, { ifAvailable: true }, (granted) => {
      if (granted === null) {
        resolve(undefined);
        return undefined;
      }
      return new Promise<void>((release) => resolve(release));
    });
    held.catch(reject);
  });
}
