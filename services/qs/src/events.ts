import type { Log } from '@roost/service/log';
import type { PushOutcome } from './push.ts';

/** What operators care about, without an id. */
export interface QsEvents {
  /** A batch was stored, but for refused recipients and what full queues did not take. */
  stored(counts: { readonly refused: number; readonly lost: number }): void;
  /** Events were put aside. */
  buried(count: number): void;
  /** What became of pushes: numbers alone. */
  pushed(outcome: PushOutcome | 'dropped'): void;
  pushFailed(error: unknown): void;
  sweepFailed(error: unknown): void;
  pollFailed(error: unknown): void;
}

export function qsEvents(log: Log): QsEvents {
  return {
    stored({ refused, lost }) {
      if (refused > 0) log.debug({ count: refused }, 'recipients without a bound handle');
      if (lost > 0) log.debug({ count: lost }, 'events for full queues');
    },
    buried: (count) => log.warn({ count }, 'events that cannot be stored were put aside'),
    pushed: (outcome) => log.debug({ reason: outcome }, 'a push'),
    pushFailed: (error) => log.warn({ error }, 'pushes failed; the next message tries again'),
    sweepFailed: (error) => log.warn({ error }, 'the sweep of old rows failed; it is tried again'),
    pollFailed: (error) => log.warn({ error }, 'looking after listeners failed; it is tried again'),
  };
}
