/** Cuts waits short, as often as it is pushed. */
export class Nudge {
  #bell = new AbortController();

  /** Aborted by the next push; its reason is whether the line is another one. */
  get signal(): AbortSignal {
    return this.#bell.signal;
  }

  push(isLineNew: boolean): void {
    const bell = this.#bell;
    this.#bell = new AbortController();
    bell.abort(isLineNew);
  }
}
