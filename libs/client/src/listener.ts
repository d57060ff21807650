import { Failure } from '@roost/core/failure';
import { backoffMs, type Clock, MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import { type Core, fraction } from './core.ts';
import { isAway, isTransient } from './lanes.ts';
import type { Nudge } from './nudge.ts';

/** One of the two queues that a client follows. */
export interface Following<M> {
  /** Opens the stream from what is read; that acknowledges what lies below. */
  readonly open: (signal: AbortSignal) => AsyncIterable<M>;
  /** Takes in a message of the stream; says how many entries came with it. */
  readonly take: (message: M) => Promise<number>;
  readonly acknowledge: () => Promise<void>;
  readonly reconnectWithinMs: (message: M) => number;
}

/** Acknowledging costs a token: every so many entries, or after so long. */
const ACK_COUNT = 100;
const ACK_AFTER_MS = 5 * MINUTE_MS;
/** The server speaks every 25 s; after this long without a word the line is dead. */
const SILENCE_MS = 60 * SECOND_MS;
/** Where the line may have been lost while nobody looked, it is not waited for longer than that. */
const SUSPECT_MS = 30 * SECOND_MS;
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 15 * SECOND_MS;
const STOOD_MS = 2 * SECOND_MS;

/** What a following stands in. */
interface Surroundings {
  readonly signal: AbortSignal;
  /** The line may be back: whoever waits by itself tries at once. */
  readonly nudge: Nudge;
  readonly reachable: (isReachable: boolean) => void;
}

/** Follows a queue until it is stopped, over every loss of the line. */
export async function follow<M>(
  core: Core,
  following: Following<M>,
  { signal, nudge, reachable }: Surroundings,
): Promise<void> {
  let attempt = 0;
  while (!signal.aborted) {
    let askedMs = 0;
    let backoff = 0;
    let openedMs = Number.POSITIVE_INFINITY;
    try {
      if (attempt > 0) await knock(core, signal);
      if (attempt > 0) reachable(true);
      openedMs = core.clock.now();
      const heard = (): void => {
        attempt = 0;
        reachable(true);
      };
      askedMs = await followOnce(core, following, { signal, nudge, heard });
    } catch (error) {
      if (signal.aborted) return;
      // A stream says nothing while its queue is empty: that it stood is sign enough.
      if (core.clock.now() - openedMs >= STOOD_MS) attempt = 0;
      if (error instanceof Failure) reachable(!isAway(error));
      if (!isTransient(error)) core.report(error);
      backoff = backoffMs(attempt++, RETRY_FIRST_MS, RETRY_LAST_MS, fraction(core.crypto));
      askedMs = retryAfter(error);
    }
    // What the homeserver asked for is waited for; only our own patience is cut short.
    await sleep(askedMs, signal);
    await sleep(Math.max(0, backoff - askedMs), AbortSignal.any([signal, nudge.signal]));
  }
}

/** Finds out whether anybody answers, before a token is given for a stream that says nothing yet. */
async function knock({ caller }: Core, signal: AbortSignal): Promise<void> {
  await caller.ask({ signal }, (options) =>
    caller.services.authentication.getHomeserver({}, options),
  );
}

/** Follows one stream to its end; says how long to wait before the next. */
async function followOnce<M>(
  core: Core,
  following: Following<M>,
  { signal, nudge, heard }: Omit<Surroundings, 'reachable'> & { readonly heard: () => void },
): Promise<number> {
  const line = new AbortController();
  const silence = new Silence(line, core.clock, nudge);
  const both = AbortSignal.any([signal, line.signal]);
  let unacknowledged = 0;
  let sinceMs = core.clock.now();
  try {
    for await (const message of following.open(both)) {
      silence.broken();
      heard();
      unacknowledged += await following.take(message);
      const isLong = core.clock.now() - sinceMs >= ACK_AFTER_MS;
      if (unacknowledged >= ACK_COUNT || (isLong && unacknowledged > 0)) {
        await following.acknowledge();
        unacknowledged = 0;
        sinceMs = core.clock.now();
      }
      const withinMs = following.reconnectWithinMs(message);
      if (withinMs > 0) return withinMs * fraction(core.crypto);
    }
    return RETRY_FIRST_MS;
  } finally {
    silence.end();
  }
}

/** Cuts a line on which nothing is heard. */
class Silence {
  readonly #line: AbortController;
  readonly #clock: Clock;
  #sinceMs: number;
  #timer: ReturnType<typeof setTimeout>;

  constructor(line: AbortController, clock: Clock, nudge: Nudge) {
    this.#line = line;
    this.#clock = clock;
    this.#sinceMs = clock.now();
    this.#timer = this.#start();
    this.#suspectWith(nudge);
  }

  broken(): void {
    clearTimeout(this.#timer);
    this.#sinceMs = this.#clock.now();
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#line.abort();
  }

  /** A machine that slept has timers that slept too. */
  #suspectWith(nudge: Nudge): void {
    const { signal } = nudge;
    const suspect = (): void => {
      const isOld = this.#clock.now() - this.#sinceMs >= SUSPECT_MS;
      if (isOld || signal.reason === true) this.#cut();
      else this.#suspectWith(nudge);
    };
    signal.addEventListener('abort', suspect, { once: true, signal: this.#line.signal });
  }

  #start(): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#cut(), SILENCE_MS);
  }

  #cut(): void {
    this.#line.abort(new Failure('UNAVAILABLE', 'nothing is heard of the homeserver'));
  }
}

function retryAfter(error: unknown): number {
  return error instanceof Failure ? (error.facts.retryAfterMs ?? 0) : 0;
}
