import type { Domain, Uuid } from '@roost/core/ids';

/** What of a partition is left aside for a while, so that it does not hold up the rest. */
export class Stalled {
  readonly #groups = new Map<Domain, Set<Uuid>>();
  readonly #refused = new Set<Domain>();
  /** Whose turn it was last: where its batch failed, the others are tried first. */
  turn: Domain | undefined;

  get isEmpty(): boolean {
    return this.#refused.size === 0 && [...this.#groups.values()].every(({ size }) => size === 0);
  }

  clear(): void {
    this.#groups.clear();
    this.#refused.clear();
  }

  /** The groups that do not get on at a destination; whoever finds one adds it. */
  groupsOf(destination: Domain): Set<Uuid> {
    const groups = this.#groups.get(destination) ?? new Set();
    this.#groups.set(destination, groups);
    return groups;
  }

  /** Nothing is taken for a destination. */
  refuse(destination: Domain): void {
    this.#refused.add(destination);
  }

  /** Those that are tried, the one after the last first. */
  inTurn(destinations: readonly Domain[]): readonly Domain[] {
    const tried = destinations.filter((destination) => !this.#refused.has(destination));
    const { turn } = this;
    const at = turn === undefined ? -1 : tried.findIndex((destination) => destination > turn);
    return at <= 0 ? tried : [...tried.slice(at), ...tried.slice(0, at)];
  }
}
