/** Cuts waits short, as often as it is pushed. */
export class Nudge {
  #bell = new AbortController();

  /** Aborted by the next push. */
  get signal(): AbortSignal {
    return this.#bell.signal;
  }

  push(): void {
    const bell = this.#bell;
    this.#bell = new AbortController();
    bell.abort();
  }
}
