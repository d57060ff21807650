/**
 * How long to wait for the receiver's answer: a few times of what it took lately, so that who died with a
 * batch in hand is not waited for, and who is slow under load is not sent everything twice.
 */
export class Patience {
  readonly #leastMs: number;
  readonly #mostMs: number;
  #ms: number;

  constructor(leastMs: number, mostMs: number) {
    this.#leastMs = Math.min(leastMs, mostMs);
    this.#mostMs = mostMs;
    this.#ms = this.#leastMs;
  }

  get ms(): number {
    return Math.round(this.#ms);
  }

  /** Asks, and learns from how long the answer took. */
  async during<T>(ask: (timeoutMs: number) => Promise<T>): Promise<T> {
    const [timeoutMs, began] = [this.ms, performance.now()];
    try {
      const answer = await ask(timeoutMs);
      this.answered(performance.now() - began);
      return answer;
    } catch (error) {
      if (performance.now() - began >= timeoutMs) this.unanswered(timeoutMs);
      throw error;
    }
  }

  answered(tookMs: number): void {
    this.#set(Math.max(TIMES * tookMs, this.#ms * FADING));
  }

  /** `waitedMs` was too little. Several who waited at once double it once. */
  unanswered(waitedMs: number): void {
    this.#set(Math.max(this.#ms, waitedMs * 2));
  }

  #set(ms: number): void {
    this.#ms = Math.min(this.#mostMs, Math.max(this.#leastMs, ms));
  }
}

const TIMES = 4;
const FADING = 0.9;
