import type { Uuid } from '@roost/core/ids';
import { backoffMs } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Clock } from '@roost/core/time';

import type { LaneTiming } from './timing.ts';

export interface PausesPorts {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly timing: LaneTiming;
}

/** Groups that a peer does not take just now, while it takes others: each comes back after a time of its own. */
export class Pauses {
  readonly #ports: PausesPorts;
  readonly #until = new Map<Uuid, { readonly atMs: number; readonly attempt: number }>();

  constructor(ports: PausesPorts) {
    this.#ports = ports;
  }

  get ids(): readonly Uuid[] {
    const now = performance.now();
    return [...this.#until].flatMap(([id, { atMs }]) => (atMs > now ? [id] : []));
  }

  /** Until the next one is tried. */
  get restMs(): number | undefined {
    const now = performance.now();
    const rests = [...this.#until.values()].map(({ atMs }) => atMs - now).filter((ms) => ms > 0);
    return rests.length === 0 ? undefined : Math.min(...rests);
  }

  /** At least for as long as the peer asked for, within reason. */
  add(id: Uuid, retryAfterMs: number): void {
    const attempt = (this.#until.get(id)?.attempt ?? -1) + 1;
    if (this.#until.size >= PAUSED_MAX) this.#until.clear();
    const ms = pauseMs(this.#ports, attempt, retryAfterMs);
    this.#until.set(id, { atMs: performance.now() + ms, attempt });
  }

  remove(id: Uuid): void {
    this.#until.delete(id);
  }
}

/** What is tried too early is paused again. */
const PAUSED_MAX = 10_000;

/** How long to wait after so many tries; no peer keeps us away for longer than it may go by itself. */
export function pauseMs(
  { crypto, timing: { backoffFirstMs, backoffLastMs } }: Pick<PausesPorts, 'crypto' | 'timing'>,
  attempt: number,
  retryAfterMs: number,
): number {
  const random = (crypto.random(1)[0] ?? 0) / 256;
  const ms = backoffMs(attempt, backoffFirstMs, backoffLastMs, random);
  return Math.max(ms, Math.min(retryAfterMs, backoffLastMs));
}
