import type { Leaf } from './tree-node.ts';

/** What is true of all nodes of a tree together, kept up to date by what changes. */

/**
 * A set of public keys that is copied at the price of what changed lately: a large part shared by
 * all versions of a tree, and a small difference of each.
 */
export class KeySet {
  readonly #base: ReadonlySet<string>;
  readonly #changed: Map<string, boolean>;

  constructor(base: ReadonlySet<string> = new Set(), changed = new Map<string, boolean>()) {
    this.#base = base;
    this.#changed = changed;
  }

  copy(): KeySet {
    if (this.#changed.size <= 64 + this.#base.size / 8) {
      return new KeySet(this.#base, new Map(this.#changed));
    }
    const whole = new Set(this.#base);
    for (const [key, isIn] of this.#changed) {
      if (isIn) whole.add(key);
      else whole.delete(key);
    }
    return new KeySet(whole);
  }

  has(key: Uint8Array): boolean {
    const text = textOf(key);
    return this.#changed.get(text) ?? this.#base.has(text);
  }

  add(key: Uint8Array): void {
    this.#changed.set(textOf(key), true);
  }

  delete(key: Uint8Array): void {
    this.#changed.set(textOf(key), false);
  }
}

function textOf(key: Uint8Array): string {
  return String.fromCharCode(...key);
}

/** What a count of a tally is about. */
export type Countable = 'credential_in_use' | 'credential' | 'extension' | 'proposal' | 'leaf';

/** How many leaves use or support what; "all members support it" is then one look. */
export class Tally {
  readonly #counts: Map<string, number>;

  constructor(counts: ReadonlyMap<string, number> = new Map()) {
    this.#counts = new Map(counts);
  }

  copy(): Tally {
    return new Tally(this.#counts);
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  get leaves(): number {
    return this.#count('leaf', 0);
  }

  /** Whether every member says that it supports this number. */
  allSupport(what: 'credential' | 'extension' | 'proposal', type: number): boolean {
    return this.#count(what, type) === this.leaves;
  }

  /** The credential types that members have. */
  credentialsInUse(): number[] {
    const types: number[] = [];
    for (const [key, count] of this.#counts) {
      const [what, type] = key.split(' ');
      if (what === 'credential_in_use' && count > 0) types.push(Number(type));
    }
    return types;
  }

  add(leaf: Leaf): void {
    this.#change(leaf, 1);
  }

  remove(leaf: Leaf): void {
    this.#change(leaf, -1);
  }

  #change(leaf: Leaf, by: 1 | -1): void {
    const { credentialInUse, credentials, extensions, proposals } = leaf.support;
    this.#bump('leaf', 0, by);
    this.#bump('credential_in_use', credentialInUse, by);
    for (const type of new Set(credentials)) this.#bump('credential', type, by);
    for (const type of new Set(extensions)) this.#bump('extension', type, by);
    for (const type of new Set(proposals)) this.#bump('proposal', type, by);
  }

  #count(what: Countable, type: number): number {
    return this.#counts.get(`${what} ${type}`) ?? 0;
  }

  #bump(what: Countable, type: number, by: number): void {
    const count = this.#count(what, type) + by;
    if (count === 0) this.#counts.delete(`${what} ${type}`);
    else this.#counts.set(`${what} ${type}`, count);
  }
}
