/**
 * For how long the oldest row of the outbox has waited. The rows tell no time, as that would tell when
 * groups speak: so it is remembered here how far the outbox had come at what moment, and the age of a
 * row is known as well as somebody asks for it.
 */
export class OutboxAge {
  /** Each the first moment at which a position was given out, both growing. */
  #seen: { readonly atMs: number; readonly newest: bigint }[] = [];

  /** The position of the row that waits the longest, if one waits, and the last that was given out. */
  note(nowMs: number, oldest: bigint | undefined, newest: bigint): number {
    const last = this.#seen.at(-1);
    if (last === undefined || newest > last.newest) this.#seen.push({ atMs: nowMs, newest });
    if (oldest === undefined) {
      this.#seen = this.#seen.slice(-1);
      return 0;
    }
    // What came before the oldest is of no use any more.
    const from = this.#seen.findIndex((moment) => moment.newest >= oldest);
    this.#seen = this.#seen.slice(Math.max(0, from));
    if (this.#seen.length > MOMENTS_MAX) {
      this.#seen = this.#seen.filter((_, at) => at === 0 || at % 2 === 1);
    }
    return Math.max(0, nowMs - (this.#seen[0]?.atMs ?? nowMs));
  }
}

const MOMENTS_MAX = 1_000;
