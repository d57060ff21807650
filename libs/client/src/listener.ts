import { Failure } from '@roost/core/failure';
import { backoffMs, MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import { type Core, fraction } from './core.ts';
import { isAway, isTransient } from './lanes.ts';

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
const RETRY_FIRST_MS = 250;
const RETRY_LAST_MS = 15 * SECOND_MS;
const STOOD_MS = 2 * SECOND_MS;

/** Follows a queue until it is stopped, over every loss of the line. */
export async function follow<M>(
  core: Core,
  following: Following<M>,
  parts: { readonly signal: AbortSignal; readonly reachable: (isReachable: boolean) => void },
): Promise<void> {
  const { signal, reachable } = parts;
  let attempt = 0;
  while (!signal.aborted) {
    let waitMs = 0;
    let openedMs = Number.POSITIVE_INFINITY;
    try {
      if (attempt > 0) await knock(core, signal);
      if (attempt > 0) reachable(true);
      openedMs = core.clock.now();
      waitMs = await followOnce(core, following, signal, () => {
        attempt = 0;
        reachable(true);
      });
    } catch (error) {
      if (signal.aborted) return;
      // A stream says nothing while its queue is empty: that it stood is sign enough.
      if (core.clock.now() - openedMs >= STOOD_MS) attempt = 0;
      if (error instanceof Failure) reachable(!isAway(error));
      if (!isTransient(error)) core.report(error);
      const backoff = backoffMs(attempt++, RETRY_FIRST_MS, RETRY_LAST_MS, fraction(core.crypto));
      waitMs = Math.max(backoff, retryAfter(error));
    }
    await sleep(waitMs, signal);
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
  signal: AbortSignal,
  heard: () => void,
): Promise<number> {
  const line = new AbortController();
  const silence = new Silence(line);
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
  #timer: ReturnType<typeof setTimeout>;

  constructor(line: AbortController) {
    this.#line = line;
    this.#timer = this.#start();
  }

  broken(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#line.abort();
  }

  #start(): ReturnType<typeof setTimeout> {
    const gone = new Failure('UNAVAILABLE', 'nothing is heard of the homeserver');
    return setTimeout(() => this.#line.abort(gone), SILENCE_MS);
  }
}

function retryAfter(error: unknown): number {
  return error instanceof Failure ? (error.facts.retryAfterMs ?? 0) : 0;
}
