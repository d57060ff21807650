import { openRegistration, type PushRegistration, unwrapRegistrationKey } from '@roost/bus/push';
import { backoffMs, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { QsLimits } from './config.ts';
import type { QsEvents } from './events.ts';
import type { Listeners } from './listeners.ts';
import type { Push } from './push.ts';
import { dropRegistration, forgetTold, takeUntold } from './store/push.ts';

/** What opens where pushes for a client go, as one delivery brought it. */
export interface PushKeys {
  readonly handleHash: Uint8Array;
  readonly pushKey: Uint8Array;
  readonly wrapped: Uint8Array;
}

interface PusherPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly listeners: Listeners;
  readonly push: Push;
  readonly events: QsEvents;
  readonly limits: Pick<QsLimits, 'pushDelayMs' | 'pushRetryMs' | 'pushesWaitingMax'>;
}

/** Pushes under way at once; a slow provider takes no more of them than its own. */
const UNDER_WAY_MAX = 256;
const TRIES_MAX = 4;
const RETRY_LAST_MS = 60_000;

/**
 * Sends pushes beside everything else: to whom nobody listens, one until something is fetched. A push is
 * a hint: what is offered beyond the bound, or lost with the process, is told of by the next message.
 */
export class Pusher {
  readonly #ports: PusherPorts;
  /** The registration keys of those who wait. */
  readonly #waiting = new Map<bigint, Uint8Array>();
  readonly #stop = new AbortController();
  readonly #rounds = new Set<Promise<void>>();
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(ports: PusherPorts) {
    this.#ports = ports;
  }

  /** After something was stored; returns at once. */
  offer(clientId: bigint, keys: PushKeys): void {
    const { crypto, limits, events } = this.#ports;
    if (this.#stop.signal.aborted) return;
    // A hub that brings another push key is told nothing, and keeps nobody else from telling.
    const key = unwrapRegistrationKey(crypto, keys, keys.wrapped);
    if (key === undefined) return;
    if (this.#waiting.size >= limits.pushesWaitingMax && !this.#waiting.has(clientId)) {
      events.pushed('dropped');
      return;
    }
    this.#waiting.set(clientId, key);
    this.#soon();
  }

  /** Gives up what is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await Promise.all(this.#rounds);
  }

  /** After a moment, in which whoever is there reads by itself. */
  #soon(): void {
    if (this.#timer !== undefined || this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#begin();
    }, this.#ports.limits.pushDelayMs);
  }

  #begin(): void {
    const batch = [...this.#waiting].slice(0, UNDER_WAY_MAX - this.#underWay);
    if (batch.length === 0) return;
    for (const [clientId] of batch) this.#waiting.delete(clientId);
    this.#underWay += batch.length;
    const round = this.#round(batch)
      .catch(this.#ports.events.pushFailed)
      .finally(() => {
        this.#underWay -= batch.length;
        this.#rounds.delete(round);
        if (this.#waiting.size > 0) this.#soon();
      });
    this.#rounds.add(round);
  }

  async #round(batch: readonly (readonly [clientId: bigint, key: Uint8Array])[]): Promise<void> {
    const { crypto, database, listeners } = this.#ports;
    const alone = new Map<bigint, Uint8Array>();
    for (const [clientId, key] of batch) {
      if (!(await listeners.isHeard(clientId))) alone.set(clientId, key);
    }
    if (alone.size === 0) return;
    const untold = await takeUntold(database, [...alone.keys()]);
    await Promise.all(
      untold.map(async ({ clientId, sealed }) => {
        const key = alone.get(clientId);
        const to = key === undefined ? undefined : openRegistration(crypto, key, sealed);
        const outcome = to === undefined ? 'refused' : await this.#send(clientId, to);
        this.#ports.events.pushed(outcome);
        if (outcome === 'gone') await dropRegistration(database, clientId, sealed);
        // The next message tries again.
        else if (outcome !== 'sent') await forgetTold(database, clientId);
      }),
    );
  }

  async #send(clientId: bigint, to: PushRegistration) {
    const { crypto, push, listeners, limits } = this.#ports;
    const { signal } = this.#stop;
    for (let tries = 1; ; tries++) {
      const outcome = await push.send(to, signal);
      if (outcome !== 'later' || tries >= TRIES_MAX || signal.aborted) return outcome;
      const random = (crypto.random(1)[0] ?? 0) / 256;
      await sleep(backoffMs(tries, limits.pushRetryMs, RETRY_LAST_MS, random), signal);
      // Whoever came meanwhile needs none.
      if (signal.aborted || (await listeners.isHeard(clientId))) return 'later';
    }
  }
}
