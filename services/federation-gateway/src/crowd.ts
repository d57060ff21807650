import { Failure } from '@roost/core/failure';
import { SECOND_MS, sleep } from '@roost/core/time';

export interface CrowdLimits {
  /** Calls at once, of all. */
  readonly all: number;
  /** Of one source: so that no one of them is all. */
  readonly each: number;
  /** Of one source, that wait for others of it to end. */
  readonly waitingEach: number;
  readonly waiting: number;
  readonly waitMs: number;
}

/** A quarter of all for one, and no more. */
export const CROWD_LIMITS: CrowdLimits = {
  ...{ all: 256, each: 64, waitingEach: 64, waiting: 1_024 },
  waitMs: 5 * SECOND_MS,
};

/**
 * Lets calls in, so many of one source at once and no more, and those of all sources in turn: who sends
 * more than others waits behind itself.
 */
export class Crowd {
  readonly #limits: CrowdLimits;
  readonly #inside = new Map<string, number>();
  /** Whose turn it is comes first. */
  readonly #queues = new Map<string, (() => void)[]>();
  #all = 0;
  #waiting = 0;

  constructor(limits: CrowdLimits = CROWD_LIMITS) {
    this.#limits = limits;
  }

  get inside(): number {
    return this.#all;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** What it gives is disposed of when the call has ended. `RATE_LIMITED` where too many wait, or for too long. */
  async enter(source: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#hasRoom(source)) return this.#let(source);
    const queue = this.#queues.get(source) ?? [];
    const { waiting, waitingEach } = this.#limits;
    if (queue.length >= waitingEach || this.#waiting >= waiting) throw tooMany(source);
    this.#queues.set(source, queue);
    const turn = Promise.withResolvers<Disposable>();
    const come = (): void => turn.resolve(this.#let(source));
    queue.push(come);
    this.#waiting++;
    return await this.#await(source, { come, turn: turn.promise, signal });
  }

  async #await(
    source: string,
    waiting: { come: () => void; turn: Promise<Disposable>; signal: AbortSignal },
  ): Promise<Disposable> {
    const { come, turn, signal } = waiting;
    const { promise: gone, reject } = Promise.withResolvers<never>();
    const leave = (): void => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    const patience = new AbortController();
    const late = sleep(this.#limits.waitMs, patience.signal).then(() => undefined);
    try {
      const entered = await Promise.race([turn, gone, late]);
      if (entered !== undefined) return entered;
      throw tooMany(source);
    } catch (error) {
      this.#forget(source, come, turn);
      throw error;
    } finally {
      signal.removeEventListener('abort', leave);
      patience.abort();
    }
  }

  #hasRoom(source: string): boolean {
    const { all, each } = this.#limits;
    return this.#all < all && (this.#inside.get(source) ?? 0) < each;
  }

  #let(source: string): Disposable {
    this.#all++;
    this.#inside.set(source, (this.#inside.get(source) ?? 0) + 1);
    let isInside = true;
    return {
      [Symbol.dispose]: () => {
        if (isInside) this.#leave(source);
        isInside = false;
      },
    };
  }

  #leave(source: string): void {
    this.#all--;
    const left = (this.#inside.get(source) ?? 0) - 1;
    if (left > 0) this.#inside.set(source, left);
    else this.#inside.delete(source);
    for (const [name, queue] of this.#queues) {
      if (!this.#hasRoom(name)) continue;
      const come = queue.shift();
      this.#waiting--;
      // It goes behind the others who wait.
      this.#queues.delete(name);
      if (queue.length > 0) this.#queues.set(name, queue);
      come?.();
      return;
    }
  }

  /** Who waits no longer; where its turn came at the same moment, it leaves at once. */
  #forget(source: string, come: () => void, turn: Promise<Disposable>): void {
    const queue = this.#queues.get(source) ?? [];
    const at = queue.indexOf(come);
    if (at < 0) {
      void turn.then((entered) => entered[Symbol.dispose]());
      return;
    }
    queue.splice(at, 1);
    this.#waiting--;
    if (queue.length === 0) this.#queues.delete(source);
  }
}

function tooMany(source: string): Failure {
  const who = source === '' ? 'one homeserver' : source;
  return new Failure('RATE_LIMITED', `too many calls of ${who} are under way`, {
    retryAfterMs: SECOND_MS,
  });
}
