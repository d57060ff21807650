import type { Clock } from '@roost/core/time';

/** A clock that stands still until it is told otherwise. */
export class TestClock implements Clock {
  #now: number;

  constructor(now = Date.UTC(2030, 0, 1)) {
    this.#now = now;
  }

  readonly now = (): number => this.#now;

  set(now: number): void {
    this.#now = now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}
