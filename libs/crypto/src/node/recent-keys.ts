import type { KeyObject } from 'node:crypto';

/** The keys that were used last, by a name; the one unused for longest is displaced. */
export class RecentKeys {
  readonly #keys = new Map<string, KeyObject>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get(name: string): KeyObject | undefined {
    const key = this.#keys.get(name);
    if (key === undefined) return undefined;
    this.#keys.delete(name);
    this.#keys.set(name, key);
    return key;
  }

  set(name: string, key: KeyObject): void {
    this.#keys.set(name, key);
    if (this.#keys.size <= this.#countMax) return;
    const [oldest] = this.#keys.keys();
    if (oldest !== undefined) this.#keys.delete(oldest);
  }
}
