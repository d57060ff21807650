import { assert } from '@roost/core/assert';
import { decodeRecord, encodeRecord } from './record.ts';
import type { Store, Write } from './store.ts';

/** One kind of record: where it lies in the store and how it is written. */
export interface Shelf<T> {
  readonly prefix: string;
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** A shelf of plain records. */
export function shelf<T extends object>(prefix: string): Shelf<T> {
  return { prefix, encode: encodeRecord, decode: (bytes) => decodeRecord<T>(bytes) };
}

/**
 * Everything the client knows, in memory and in the store alike. It changes in turns, one after the
 * other; each turn is one atomic write, or nothing. So a kill at any instant leaves a state that
 * some turn left, and whatever a turn promises to the outside is sent after its write.
 */
export class Ledger {
  readonly #store: Store;
  readonly #shelves: ReadonlyMap<string, Map<string, unknown>>;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(store: Store, shelves: ReadonlyMap<string, Map<string, unknown>>) {
    this.#store = store;
    this.#shelves = shelves;
  }

  static async open(store: Store, shelves: readonly Shelf<unknown>[]): Promise<Ledger> {
    const loaded = new Map<string, Map<string, unknown>>();
    for (const { prefix, decode } of shelves) {
      const records = new Map<string, unknown>();
      for (const { key, value } of await store.list(prefix)) {
        records.set(key.slice(prefix.length), decode(value));
      }
      loaded.set(prefix, records);
    }
    return new Ledger(store, loaded);
  }

  get<T>({ prefix }: Shelf<T>, key: string): T | undefined {
    return this.#of(prefix).get(key) as T | undefined;
  }

  /** The records of a shelf whose keys begin with `within`, in the order of their keys. */
  list<T>({ prefix }: Shelf<T>, within = ''): [key: string, value: T][] {
    const all = [...this.#of(prefix)].filter(([key]) => key.startsWith(within));
    return all.toSorted(byKey) as [string, T][];
  }

  /** The first record whose key begins with `within`; for long shelves cheaper than the list. */
  first<T>({ prefix }: Shelf<T>, within: string): [key: string, value: T] | undefined {
    let found: [string, unknown] | undefined;
    for (const entry of this.#of(prefix)) {
      if (!entry[0].startsWith(within)) continue;
      if (found === undefined || entry[0] < found[0]) found = entry;
    }
    return found as [string, T] | undefined;
  }

  /**
   * Runs a change when all earlier ones are done. It waits for nothing but the store: a turn that
   * asked a server would hold up everything else.
   */
  turn<R>(change: (turn: Turn) => Promise<R> | R): Promise<R> {
    const result = this.#last.then(() => this.#run(change));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when the turns that were asked for are done. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #run<R>(change: (turn: Turn) => Promise<R> | R): Promise<R> {
    const turn = new Turn(this);
    const result = await change(turn);
    const { writes, records, effects } = turn.finish();
    if (writes.length > 0) await this.#store.write(writes);
    for (const { prefix, key, value } of records) {
      if (value === undefined) this.#of(prefix).delete(key);
      else this.#of(prefix).set(key, value);
    }
    for (const effect of effects) effect();
    return result;
  }

  #of(prefix: string): Map<string, unknown> {
    const records = this.#shelves.get(prefix);
    assert(records !== undefined, 'a shelf is opened before it is used');
    return records;
  }
}

interface Changed {
  readonly prefix: string;
  readonly key: string;
  readonly value: unknown;
  readonly encode: (value: never) => Uint8Array;
}

/** What one turn sees and changes: its own changes come before what was. Values are never mutated. */
export class Turn {
  readonly #ledger: Ledger;
  readonly #changed = new Map<string, Changed>();
  readonly #appended: Write[] = [];
  readonly #effects: (() => void)[] = [];

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  get<T>(on: Shelf<T>, key: string): T | undefined {
    const changed = this.#changed.get(on.prefix + key);
    return changed === undefined ? this.#ledger.get(on, key) : (changed.value as T | undefined);
  }

  list<T>(on: Shelf<T>, within = ''): [key: string, value: T][] {
    const records = new Map(this.#ledger.list(on, within));
    for (const { prefix, key, value } of this.#changed.values()) {
      if (prefix !== on.prefix || !key.startsWith(within)) continue;
      if (value === undefined) records.delete(key);
      else records.set(key, value as T);
    }
    return [...records].toSorted(byKey);
  }

  put<T>({ prefix, encode }: Shelf<T>, key: string, value: T): void {
    this.#changed.set(prefix + key, { prefix, key, value, encode });
  }

  delete({ prefix, encode }: Shelf<unknown>, key: string): void {
    this.#changed.set(prefix + key, { prefix, key, value: undefined, encode });
  }

  /** Writes what is not kept in memory. */
  append(key: string, value: Uint8Array): void {
    this.#appended.push({ key, value });
  }

  /** Runs once the turn is written, and never where it was not. */
  after(effect: () => void): void {
    this.#effects.push(effect);
  }

  /** Makes part of a turn by itself: where it throws, it has changed nothing. */
  async attempt(part: () => Promise<void>): Promise<void> {
    const [changed, appended, effects] = [
      new Map(this.#changed),
      this.#appended.length,
      this.#effects.length,
    ];
    try {
      await part();
    } catch (error) {
      this.#changed.clear();
      for (const [key, change] of changed) this.#changed.set(key, change);
      this.#appended.length = appended;
      this.#effects.length = effects;
      throw error;
    }
  }

  /** For the ledger alone. */
  finish() {
    const records = [...this.#changed.values()];
    const writes = records.map(({ prefix, key, value, encode }): Write => {
      return { key: prefix + key, value: value === undefined ? undefined : encode(value as never) };
    });
    return { writes: [...writes, ...this.#appended], records, effects: this.#effects };
  }
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
