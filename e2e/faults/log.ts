import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Entry, Happened } from './entry.ts';

/** What all clients of a load write down, and how often they heard which refusal. */
export class Log {
  #entries: Entry[] = [];
  readonly #errors = new Map<string, number>();
  readonly #names = new Map<string, string>();

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  add(entry: Happened): void {
    this.#entries.push({ ...entry, atMs: performance.now() });
  }

  /** Counts what a client heard instead of an answer. */
  heard(error: unknown): void {
    const reason = error instanceof Failure ? error.reason : `"${textOf(error)}"`;
    this.#errors.set(reason, (this.#errors.get(reason) ?? 0) + 1);
  }

  /** How a group is called in the history. */
  nameOf(group: string): string {
    const name = this.#names.get(group) ?? `group ${this.#names.size + 1}`;
    this.#names.set(group, name);
    return name;
  }

  call(group: string, name: string): void {
    this.#names.set(group, name);
  }

  get errorCount(): number {
    return [...this.#errors.values()].reduce((sum, each) => sum + each, 0);
  }

  /** `UNAVAILABLE 12, RATE_LIMITED 1`, the most frequent first. */
  get errors(): string {
    const all = [...this.#errors].toSorted(([, one], [, other]) => other - one);
    return all.map(([reason, count]) => `${reason} ${count}`).join(', ');
  }

  /** Begins a new history. */
  clear(): void {
    this.#entries = [];
    this.#errors.clear();
  }
}

/** What is no refusal of ours is told in its own words. */
function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, 60);
}

/** Enough to tell one from another. */
export function digest(bytes: Uint8Array): string {
  return toHex(crypto.sha256(bytes)).slice(0, 16);
}
