import { Failure } from '@roost/core/failure';
import { backoffMs, MINUTE_MS, SECOND_MS, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Ledger, Turn } from './ledger.ts';
import { addTask, laneOf, type Task, tasks } from './task.ts';

/**
 * How a try at a task ended: the lane goes `on`, with the next task or with what this one wrote
 * down; or it is `blocked` until something comes in that wakes it; or it waits, for longer each time, for what
 * another homeserver does not tell. A refusal is thrown.
 */
export type Outcome = 'on' | 'blocked' | { readonly waitsFor: string };

/** A task that was refused for good. */
export interface Refusal {
  readonly lane: string;
  readonly key: string;
  readonly task: Task;
  readonly error: Failure;
  /** Whether whoever asked for it hears of it anyway. */
  readonly isAwaited: boolean;
}

interface LaneParts {
  readonly ledger: Ledger;
  readonly crypto: Crypto;
  /** Makes one try at the first task of a lane. */
  readonly perform: (lane: string, key: string, task: Task) => Promise<Outcome>;
  readonly refused: (refusal: Refusal) => Promise<void>;
  /** Whether the homeserver answers, as far as tasks can tell. */
  readonly reachable: (isReachable: boolean) => void;
  /** Which other homeserver a lane waits for. */
  readonly peerAway: (lane: string, domain: string | undefined) => void;
  readonly report: (error: unknown) => void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** As long as it takes to be patient where none is said. */
interface Wait {
  readonly waitMs?: number;
}

const RETRY_FIRST_MS = 300;
const RETRY_LAST_MS = 30_000;
/** Each try costs a token of our own homeserver: those of a day must last for one that is away for days. */
const PEER_RETRY_FIRST_MS = SECOND_MS;
const PEER_RETRY_LAST_MS = 30 * MINUTE_MS;

/** Runs the tasks of every lane, the lanes beside each other. */
export class Lanes {
  readonly #parts: LaneParts;
  readonly #running = new Map<string, Promise<void>>();
  readonly #bells = new Map<string, AbortController>();
  readonly #waiters = new Map<string, Waiter>();
  readonly #again = new Set<string>();
  readonly #hurried = new Set<string>();
  /** Which other homeserver a lane waits for, and how often in a row each was asked for nothing. */
  readonly #peers = new Map<string, string>();
  readonly #peerAttempts = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** Runs what a former process left. */
  start(): void {
    for (const [key] of this.#parts.ledger.list(tasks)) this.wake(laneOf(key));
  }

  /** Looks at a lane: it has a new task, or what its first one waits for may have come. */
  wake(lane: string): void {
    if (this.#stop.signal.aborted) return;
    if (this.#running.has(lane)) {
      this.#again.add(lane);
      return;
    }
    const run = this.#run(lane).finally(() => {
      this.#running.delete(lane);
      if (this.#again.delete(lane)) this.wake(lane);
    });
    this.#running.set(lane, run);
  }

  /** Cuts the waiting of all lanes short: the homeserver answers again. */
  hurry(): void {
    for (const bell of this.#bells.values()) bell.abort();
  }

  /** Cuts the waiting of one lane short; one that is just trying does not wait after it. */
  hurryOn(lane: string): void {
    if (this.#running.has(lane)) this.#hurried.add(lane);
    this.#bells.get(lane)?.abort();
  }

  /** Cuts the waiting for another homeserver short: something is heard of it. */
  hurryFor(domain: string): void {
    for (const [lane, peer] of this.#peers) if (peer === domain) this.#bells.get(lane)?.abort();
  }

  /** Puts a task into a lane. The promise resolves when it is done, and rejects with its refusal. */
  submit(turn: Turn, lane: string, task: Task): { readonly done: Promise<void> } {
    const key = addTask(turn, lane, task);
    const done = new Promise<void>((resolve, reject) => {
      this.#waiters.set(key, { resolve, reject });
    });
    // Whether anybody waits is the caller's business.
    done.catch(() => undefined);
    turn.after(() => this.wake(lane));
    return { done };
  }

  /** Takes a task that is done off the ledger. */
  finish(turn: Turn, key: string): void {
    turn.delete(tasks, key);
    turn.after(() => this.#settle(key, (waiter) => waiter.resolve()));
  }

  /** Puts a task to the end of another lane; whoever waits for it goes on waiting. */
  move(turn: Turn, key: string, lane: string): void {
    const task = turn.get(tasks, key);
    if (task === undefined) return;
    turn.delete(tasks, key);
    const to = addTask(turn, lane, task);
    turn.after(() => {
      const waiter = this.#waiters.get(key);
      this.#waiters.delete(key);
      if (waiter !== undefined) this.#waiters.set(to, waiter);
      this.wake(lane);
    });
  }

  /** Takes a task off the ledger that has lost its ground. */
  fail(turn: Turn, key: string, error: Failure): void {
    turn.delete(tasks, key);
    turn.after(() => this.#settle(key, (waiter) => waiter.reject(error)));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.hurry();
    await Promise.allSettled(this.#running.values());
    for (const { reject } of this.#waiters.values()) {
      reject(new Failure('UNAVAILABLE', 'the client closes'));
    }
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  async #run(lane: string): Promise<void> {
    let attempt = 0;
    while (!this.#stop.signal.aborted) {
      const first = this.#parts.ledger.first(tasks, `${lane}/`);
      if (first === undefined) return;
      this.#again.delete(lane);
      this.#hurried.delete(lane);
      const outcome = await this.#try(lane, ...first);
      if (outcome === 'blocked') return;
      if (typeof outcome === 'string') attempt = 0;
      else await this.#pause(lane, outcome.waitMs ?? this.#backoff(attempt++));
    }
  }

  async #try(lane: string, key: string, task: Task): Promise<'on' | 'blocked' | Wait> {
    try {
      const outcome = await this.#parts.perform(lane, key, task);
      this.#parts.reachable(true);
      if (typeof outcome === 'object') return { waitMs: this.#patience(lane, outcome.waitsFor) };
      this.#peerAnswered(lane);
      return outcome;
    } catch (error) {
      if (this.#stop.signal.aborted) return 'blocked';
      if (isTransient(error)) {
        this.#parts.reachable(!isAway(error));
        const waitMs = error instanceof Failure ? this.#waitMs(lane, error) : undefined;
        return waitMs === undefined ? {} : { waitMs };
      }
      if (!(error instanceof Failure)) {
        // A bug here, or one over there: neither is made better by dropping the task.
        this.#parts.report(error);
        return {};
      }
      this.#peerAnswered(lane);
      const isAwaited = this.#waiters.has(key);
      try {
        await this.#parts.refused({ lane, key, task, error, isAwaited });
      } catch (unwritten) {
        this.#parts.report(unwritten);
        return {};
      }
      this.#settle(key, (waiter) => waiter.reject(error));
      return 'on';
    }
  }

  #waitMs(lane: string, { reason, facts }: Failure): number | undefined {
    if (reason !== 'PEER_UNAVAILABLE') return facts.retryAfterMs;
    const { peer = '', retryAfterMs = 0 } = facts;
    this.#parts.peerAway(lane, peer);
    return Math.max(retryAfterMs, this.#patience(lane, peer));
  }

  /** How long a lane waits now for what another homeserver does not give. */
  #patience(lane: string, peer: string): number {
    const attempt = this.#peerAttempts.get(peer) ?? 0;
    this.#peerAttempts.set(peer, attempt + 1);
    this.#peers.set(lane, peer);
    return backoffMs(attempt, PEER_RETRY_FIRST_MS, PEER_RETRY_LAST_MS, this.#fraction());
  }

  #peerAnswered(lane: string): void {
    const peer = this.#peers.get(lane);
    if (peer === undefined) return;
    this.#peers.delete(lane);
    this.#peerAttempts.delete(peer);
    this.#parts.peerAway(lane, undefined);
    this.hurryFor(peer);
  }

  #settle(key: string, tell: (waiter: Waiter) => void): void {
    const waiter = this.#waiters.get(key);
    this.#waiters.delete(key);
    if (waiter !== undefined) tell(waiter);
  }

  async #pause(lane: string, ms: number): Promise<void> {
    if (this.#hurried.has(lane)) return;
    const bell = new AbortController();
    this.#bells.set(lane, bell);
    await sleep(ms, bell.signal);
    this.#bells.delete(lane);
  }

  #backoff(attempt: number): number {
    return backoffMs(attempt, RETRY_FIRST_MS, RETRY_LAST_MS, this.#fraction());
  }

  #fraction(): number {
    return (this.#parts.crypto.random(1)[0] ?? 0) / 256;
  }
}

/** Whether the same request may succeed later. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const transient = [
    'UNAVAILABLE',
    'PEER_UNAVAILABLE',
    'DRAINING',
    'RATE_LIMITED',
    'ALLOWANCE_EXHAUSTED',
    'QUEUE_FULL',
    'CLOCK_SKEW',
    'REPLAYED',
    'LISTENER_REPLACED',
    'EPOCH_TOO_OLD',
  ];
  return transient.includes(error.reason);
}

/** Whether there was nobody to answer. */
export function isAway(error: unknown): boolean {
  return error instanceof Failure && ['UNAVAILABLE', 'DRAINING'].includes(error.reason);
}
