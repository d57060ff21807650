import { Failure } from '@roost/core/failure';
import type { Clock } from '@roost/core/time';
import { inSpan } from './trace.ts';
import type { Bell, Bus, Limiter, RequestOptions } from './ports.ts';

type Handler = (batch: Uint8Array) => Promise<Uint8Array>;

/** The bus of one process. At most `WAITING_MAX` requests are under way; more are refused. */
export class MemoryBus implements Bus {
  #handler: Handler | undefined;
  readonly #running = new Set<Promise<unknown>>();

  async request(
    _partition: number,
    batch: Uint8Array,
    { timeoutMs, signal }: RequestOptions,
  ): Promise<Uint8Array> {
    if (this.#handler === undefined) throw away('nobody serves');
    if (this.#running.size >= WAITING_MAX) throw away('too much waits already');
    if (signal?.aborted === true) throw away('the request was given up');
    const handler = this.#handler;
    return await inSpan('bus request', 'sends', async () => {
      const answer = inSpan('bus serve', 'receives', () => handler(batch));
      return await this.#answered(answer, timeoutMs, signal);
    });
  }

  async #answered(
    answer: Promise<Uint8Array>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    this.#running.add(answer);
    // The call goes on after a timeout, and counts until it ends.
    const forget = (): void => void this.#running.delete(answer);
    answer.then(forget, forget);
    return await withinTime(answer, timeoutMs, signal);
  }

  serve(handler: Handler): { close(): Promise<void> } {
    if (this.#handler !== undefined) throw new Error('one serves the bus of a process');
    this.#handler = handler;
    return {
      close: async () => {
        if (this.#handler === handler) this.#handler = undefined;
        await Promise.allSettled(this.#running);
      },
    };
  }
}

/** The bells of one process. Whoever listens is woken in a turn of its own. */
export class MemoryBell implements Bell {
  readonly #listeners = new Map<string, Set<() => void>>();

  ring(key: string): void {
    const listeners = this.#listeners.get(key);
    if (listeners === undefined) return;
    for (const wake of listeners) queueMicrotask(wake);
  }

  async isHeard(key: string): Promise<boolean> {
    return this.#listeners.has(key);
  }

  listen(key: string, wake: () => void): { close(): void } {
    const listeners = this.#listeners.get(key) ?? new Set();
    // A function of its own: the same `wake` may listen twice.
    const mine = (): void => {
      if (listeners.has(mine)) wake();
    };
    listeners.add(mine);
    this.#listeners.set(key, listeners);
    return {
      close: () => {
        listeners.delete(mine);
        if (listeners.size === 0 && this.#listeners.get(key) === listeners) {
          this.#listeners.delete(key);
        }
      },
    };
  }
}

interface Level {
  tokens: number;
  atMs: number;
}

/** Token buckets of one process. Of more than `BUCKETS_MAX`, the longest unused are forgotten. */
export class MemoryLimiter implements Limiter {
  readonly #clock: Clock;
  readonly #levels = new Map<string, Level>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async take(...[key, cost, bucket]: Parameters<Limiter['take']>): ReturnType<Limiter['take']> {
    const { capacity, refillPerSecond } = bucket;
    const now = this.#clock.now();
    const level = this.#levels.get(key) ?? { tokens: capacity, atMs: now };
    const gained = (Math.max(0, now - level.atMs) / 1_000) * refillPerSecond;
    const tokens = Math.min(capacity, level.tokens + gained);
    const isEnough = tokens >= cost;

    // Taken out and put in again: the map is in the order of last use.
    this.#levels.delete(key);
    this.#levels.set(key, { tokens: isEnough ? tokens - cost : tokens, atMs: now });
    if (this.#levels.size > BUCKETS_MAX) this.#forgetOldest();
    if (isEnough) return { ok: true };
    return { ok: false, retryAfterMs: waitMs(cost - tokens, refillPerSecond) };
  }

  #forgetOldest(): void {
    const [oldest] = this.#levels.keys();
    if (oldest !== undefined) this.#levels.delete(oldest);
  }
}

const WAITING_MAX = 256;
const BUCKETS_MAX = 100_000;
const DAY_MS = 86_400_000;

/** What can never be had is asked for again in a day. */
function waitMs(missing: number, refillPerSecond: number): number {
  return Math.min(DAY_MS, Math.ceil((missing / refillPerSecond) * 1_000));
}

function away(message: string): Failure {
  return new Failure('UNAVAILABLE', `bus: ${message}`);
}

async function withinTime<T>(
  answer: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  return await new Promise((resolve, reject) => {
    const giveUp = (): void => reject(away('the request was given up'));
    const timer = setTimeout(() => reject(away('the answer took too long')), timeoutMs);
    signal?.addEventListener('abort', giveUp);
    const tidy = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
    };
    answer.then(resolve, reject).finally(tidy);
  });
}
