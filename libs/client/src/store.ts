/**
 * Where a client keeps what it must not lose: keys, MLS states, what is not sent yet. One process
 * at a time uses a store.
 */
export interface Store {
  get(key: string): Promise<Uint8Array | undefined>;
  /** All entries whose key begins with the prefix, in the order of their keys. */
  list(prefix: string): Promise<Entry[]>;
  /** All or nothing, and durable once it resolves; `undefined` deletes. */
  write(batch: readonly Write[]): Promise<void>;
}

export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface Write {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}
