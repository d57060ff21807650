import { Failure } from '@roost/core/failure';

export interface IssuanceLimits {
  /** Batches that are worked on at once: charged, then signed. */
  readonly atOnce: number;
  /** Batches that wait for one of those. */
  readonly waitingMax: number;
}

/**
 * Keeps the drawing of tokens from taking the process away from their checking (design §4): so many
 * batches are worked on at once, so many more wait, and whoever is beyond is asked, before anything is
 * looked up or charged for it, to come back when there may be room. Those who come at once are given times
 * one behind the other, or they would come back at once.
 */
export class Issuance {
  readonly #limits: IssuanceLimits;
  readonly #refused: () => void;
  /** Each begins when it is called. */
  readonly #waiting: (() => void)[] = [];
  readonly #now: () => number;
  #working = 0;
  /** How long a batch takes, smoothed; what is not measured yet is guessed. */
  #tookMs = GUESS_MS;
  /** Until when the times that were given out reach. */
  #promisedMs = 0;

  constructor(limits: IssuanceLimits, refused: () => void, now = () => performance.now()) {
    this.#limits = limits;
    this.#refused = refused;
    this.#now = now;
  }

  /** Batches that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Refuses where there is no room for one more; costs nothing. */
  assertRoom(): void {
    const { atOnce, waitingMax } = this.#limits;
    if (this.#working < atOnce || this.#waiting.length < waitingMax) return;
    this.#refused();
    throw new Failure('RATE_LIMITED', 'too many draw tokens at once', {
      retryAfterMs: this.#promise(),
    });
  }

  /** Does the work when it is its turn; not at all where nobody waits for it any more. */
  async during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.assertRoom();
    if (this.#working >= this.#limits.atOnce) {
      await new Promise<void>((begin) => this.#waiting.push(begin));
    } else this.#working++;
    const began = this.#now();
    try {
      if (signal.aborted) throw new Failure('UNAVAILABLE', 'the request ended before its turn');
      const result = await work();
      this.#tookMs += (this.#now() - began - this.#tookMs) / SMOOTHING;
      return result;
    } finally {
      // Whoever is next takes the place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#working--;
      else next();
    }
  }

  #promise(): number {
    const { atOnce, waitingMax } = this.#limits;
    const eachMs = this.#tookMs / atOnce;
    const now = this.#now();
    const free = now + (waitingMax + atOnce) * eachMs;
    this.#promisedMs = Math.max(this.#promisedMs + eachMs, free);
    // Beyond the longest the times begin again: all of them are guesses by then.
    if (this.#promisedMs - now > RETRY_LAST_MS) this.#promisedMs = free;
    return Math.ceil(Math.min(RETRY_LAST_MS, Math.max(RETRY_FIRST_MS, this.#promisedMs - now)));
  }
}

const GUESS_MS = 50;
const SMOOTHING = 8;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 60_000;
