import type { Entry, Store, Write } from '@roost/client/store';

/** What a client keeps, in memory: clients of a load come and go with its process. */
export class MemoryStore implements Store {
  readonly #entries = new Map<string, Uint8Array>();

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#entries.get(key);
  }

  async list(prefix: string): Promise<Entry[]> {
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix)).toSorted();
    return keys.flatMap((key) => {
      const value = this.#entries.get(key);
      return value === undefined ? [] : { key, value };
    });
  }

  async write(batch: readonly Write[]): Promise<void> {
    for (const { key, value } of batch) {
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, value);
    }
  }
}
