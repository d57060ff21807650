import { Wakeup } from '@roost/bus/wakeup';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';

import { Courier, type CourierPorts } from './courier.ts';
import { pauseMs } from './pauses.ts';
import { Denied } from '../handlers/post.ts';
import { findTrouble, forgetTrouble, putTrouble } from './store/lanes.ts';

/** Calls to one destination at once. */
const CALLS_MAX = 2;
/** After so many failures in a row the circuit breaker is open: one delivery is tried after each pause, and nothing else. */
const OPEN_AFTER = 5;
const TROUBLE_CHARACTERS_MAX = 512;

/**
 * The way to one homeserver: empties what waits for it, and pauses for longer and longer where it cannot be reached. What it
 * has to remember of that lies in the database, for whoever carries it next.
 */
export class Lane {
  readonly #ports: CourierPorts;
  readonly #destination: Domain;
  readonly #holds: () => boolean;
  readonly #stop = new AbortController();
  readonly #wakeup = new Wakeup();
  readonly #courier: Courier;
  readonly #running: Promise<void>;
  #failures = 0;
  /** Whether something is remembered of it. */
  #isTroubled = false;
  #isFailing = false;
  #isCalled = true;
  /** By our own clock, which tells how long something took. */
  #tryAtMs = 0;
  #usedAtMs = performance.now();

  /** `holds`: whether it is ours at this moment. */
  constructor(ports: CourierPorts, destination: Domain, holds: () => boolean) {
    this.#ports = ports;
    this.#destination = destination;
    this.#holds = holds;
    this.#courier = new Courier(ports, destination, this.#stop.signal);
    this.#running = this.#run();
  }

  get isOpen(): boolean {
    return this.#failures >= OPEN_AFTER;
  }

  /** Whether anything was carried, or tried, within a time. */
  isUsed(withinMs: number): boolean {
    return performance.now() - this.#usedAtMs < withinMs;
  }

  /** Something waits. It does not shorten a pause. */
  nudge(): void {
    this.#wakeup.wake();
  }

  /** Somebody said that the destination is to be tried again: what is remembered of it is read anew. */
  again(): void {
    this.#isCalled = true;
    this.#wakeup.wake();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wakeup.wake();
    await this.#running;
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (this.#isCalled) await this.#recall();
      const pause = this.#tryAtMs - performance.now();
      if (pause > 0) {
        await this.#wakeup.wait(pause);
        continue;
      }
      try {
        await this.#empty();
        await this.#wakeup.wait(this.#courier.restMs);
      } catch (error) {
        if (!this.#isStopped) await this.#failed(error);
      }
    }
  }

  /** What another replica found out, or an operator wants. */
  async #recall(): Promise<void> {
    this.#isCalled = false;
    const { clock, database, events, timing } = this.#ports;
    try {
      const found = await findTrouble(database, this.#destination);
      this.#failures = found?.failures ?? 0;
      this.#isTroubled = found !== undefined;
      const pause = found === undefined ? 0 : found.nextTryMs - clock.now();
      this.#tryAtMs = performance.now() + Math.min(Math.max(0, pause), timing.backoffLastMs);
    } catch (error) {
      events.troubled('lane', error);
    }
  }

  /** Several calls side by side while it goes well; whoever puts something in while this runs wakes us again. */
  async #empty(): Promise<void> {
    if (this.isOpen && !(await this.#carry(true))) return;
    this.#isFailing = false;
    const callers = Array.from({ length: CALLS_MAX }, () => this.#carryAll());
    const ended = await Promise.allSettled(callers);
    const failed = ended.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #carryAll(): Promise<void> {
    try {
      while (!this.#isFailing && (await this.#carry(false)));
    } catch (error) {
      // The other one ends with its call.
      this.#isFailing = true;
      throw error;
    }
  }

  async #carry(isProbe: boolean): Promise<boolean> {
    if (this.#isStopped || !this.#holds()) return false;
    const isCarried = await this.#courier.carry(isProbe);
    if (!isCarried) return false;
    this.#usedAtMs = performance.now();
    if (this.#isTroubled) {
      [this.#failures, this.#isTroubled] = [0, false];
      await forgetTrouble(this.#ports.database, this.#destination);
    }
    return true;
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, database, events, timing } = this.#ports;
    const isDenied = error instanceof Denied;
    if (!isDenied) events.failed(error);
    const { message, facts } =
      error instanceof Failure ? error : { message: 'it failed', facts: {} };
    // Who is kept out by ourselves has not failed.
    const pause = isDenied
      ? timing.deniedMs
      : pauseMs(this.#ports, this.#failures, facts.retryAfterMs ?? 0);
    if (!isDenied) this.#failures++;
    this.#isTroubled = true;
    this.#usedAtMs = performance.now();
    this.#tryAtMs = this.#usedAtMs + pause;
    const nextTryMs = Math.round(clock.now() + pause);
    const trouble = message.slice(0, TROUBLE_CHARACTERS_MAX);
    try {
      const failures = this.#failures;
      await putTrouble(database, this.#destination, { failures, nextTryMs, trouble });
    } catch (cause) {
      events.troubled('lane', cause);
    }
  }
}
