import type { Entry } from './entry.ts';

/** How long clients waited at worst, in ms. */
export interface Outage {
  /** From the moment that somebody said something to the hub's yes. */
  readonly sent: number;
  /** From there to the last one who heard it. */
  readonly arrived: number;
}

/** What people felt: the longest time between their words and the answer, and until all had heard. */
export function outageOf(history: readonly Entry[]): Outage {
  const saidAt = new Map<string, number>();
  const outage = { sent: 0, arrived: 0 };
  for (const entry of history) {
    if (!('level' in entry) || entry.level !== 'text') continue;
    const key = `${entry.group} ${entry.what}`;
    if (entry.kind === 'sending') saidAt.set(key, entry.atMs);
    const since = entry.atMs - (saidAt.get(key) ?? entry.atMs);
    if (entry.kind === 'accepted') outage.sent = Math.max(outage.sent, since);
    if (entry.kind === 'arrived') outage.arrived = Math.max(outage.arrived, since);
  }
  return outage;
}
