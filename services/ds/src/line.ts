import { Failure } from '@roost/core/failure';

/**
 * Lets one task at a time run under a name, in the order of arrival. Whoever waits for a group waits
 * here and not with a connection to the database in hand, which others could use meanwhile.
 */
export class Line {
  readonly #waiting = new Map<string, { last: Promise<unknown>; count: number }>();
  readonly #waitingMax: number;

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  async run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const place = this.#waiting.get(name) ?? { last: Promise.resolve(), count: 0 };
    if (place.count >= this.#waitingMax) {
      throw new Failure('RATE_LIMITED', 'too many change this group at once', {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    const before = place.last;
    const done = before.then(task, task);
    place.last = done;
    place.count++;
    this.#waiting.set(name, place);
    try {
      return await done;
    } finally {
      place.count--;
      if (place.count === 0) this.#waiting.delete(name);
    }
  }
}

const RETRY_AFTER_MS = 1_000;
