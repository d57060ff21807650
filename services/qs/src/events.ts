import type { Database } from '@roost/postgres/database';
import { counter, gauge } from '@roost/service/instruments';
import type { Log } from '@roost/service/log';
import { observePool } from '@roost/service/pool-metrics';
import type { PushOutcome } from './push.ts';
import { sampleQueues, UNREAD_STEPS } from './store/sample.ts';

/** What operators care about, without an id. */
export interface QsEvents {
  /** A batch was stored, but for refused recipients and what full queues did not take. */
  stored(counts: {
    readonly stored: number;
    readonly refused: number;
    readonly lost: number;
    readonly silenced: number;
  }): void;
  /** What came from other hubs faster than a queue takes it; they come back with it. */
  limited(count: number): void;
  /** A batch was not stored: the DS sends it again. */
  receiveFailed(): void;
  /** Events were put aside. */
  buried(counts: { readonly undecodable: number; readonly gap: number }): void;
  /** KeyPackages were given to whoever adds their owners. */
  claimed(counts: { readonly single: number; readonly lastResort: number }): void;
  /** Clients heard that few of their KeyPackages are left. */
  lowWaterTold(count: number): void;
  /** What became of pushes: numbers alone. */
  pushed(outcome: PushOutcome | 'dropped'): void;
  pushFailed(error: unknown): void;
  sweepFailed(error: unknown): void;
  restored(queues: number): void;
  pollFailed(error: unknown): void;
}

export function qsEvents(log: Log): QsEvents {
  const count = counters();
  return {
    stored({ stored, refused, lost, silenced }) {
      count.batches({ outcome: 'stored' });
      count.deliveries({ outcome: 'stored' }, stored);
      count.deliveries({ outcome: 'silenced' }, silenced);
      count.deliveries({ outcome: 'refused' }, refused);
      count.deliveries({ outcome: 'lost' }, lost);
      if (refused > 0) log.debug({ count: refused }, 'recipients without a bound handle');
      if (lost > 0) log.debug({ count: lost }, 'events for full queues');
    },
    limited: (deliveries) => count.deliveries({ outcome: 'limited' }, deliveries),
    receiveFailed: () => count.batches({ outcome: 'failed' }),
    buried({ undecodable, gap }) {
      count.deadLetters({ kind: 'undecodable' }, undecodable);
      count.deadLetters({ kind: 'gap' }, gap);
      log.warn({ count: undecodable + gap }, 'events that cannot be stored were put aside');
    },
    claimed({ single, lastResort }) {
      count.claimed({ kind: 'single' }, single);
      count.claimed({ kind: 'last_resort' }, lastResort);
    },
    lowWaterTold: (clients) => count.lowWater({}, clients),
    pushed: (outcome) => {
      count.pushes({ outcome });
      log.debug({ reason: outcome }, 'a push');
    },
    pushFailed: (error) => {
      count.failures({ task: 'push' });
      log.warn({ error }, 'pushes failed; the next message tries again');
    },
    restored: (queues) =>
      log.warn(
        { count: queues },
        'the database was restored: KeyPackages are published anew, and queues go on behind a gap',
      ),
    sweepFailed: (error) => {
      count.failures({ task: 'sweep' });
      log.warn({ error }, 'the sweep of old rows failed; it is tried again');
    },
    pollFailed: (error) => {
      count.failures({ task: 'poll' });
      log.warn({ error }, 'looking after listeners failed; it is tried again');
    },
  };
}

function counters() {
  return {
    batches: counter('roost_qs_batches_total', 'Batches from the DS, by outcome.', {
      outcome: ['stored', 'failed'],
    }),
    deliveries: counter('roost_qs_deliveries_total', 'Messages to recipients, by outcome.', {
      outcome: ['stored', 'silenced', 'refused', 'lost', 'limited'],
    }),
    deadLetters: counter('roost_qs_dead_letters_total', 'Events that were put aside, by kind.', {
      kind: ['undecodable', 'gap'],
    }),
    claimed: counter('roost_qs_key_packages_claimed_total', 'KeyPackages handed out, by kind.', {
      kind: ['single', 'last_resort'],
    }),
    lowWater: counter(
      'roost_qs_key_packages_low_total',
      'Clients that were told that few of their KeyPackages are left.',
    ),
    pushes: counter('roost_qs_pushes_total', 'Pushes to providers, by outcome.', {
      outcome: ['sent', 'gone', 'refused', 'later', 'dropped'],
    }),
    failures: counter('roost_qs_task_failures_total', 'Rounds of upkeep that failed, by task.', {
      task: ['push', 'sweep', 'poll'],
    }),
  };
}

/** What operators look at, read when they do; of large tables from a sample. */
export function observeQs(listeners: { readonly count: number }, database: Database): Disposable {
  const observed = new DisposableStack();
  observed.use(observePool('qs', database));
  observed.use(
    gauge('roost_qs_listeners', 'Clients that listen to their queues here.', (observe) =>
      observe(listeners.count),
    ),
  );
  const sample = keptFor(SAMPLE_MS, () => sampleQueues(database));
  observed.use(
    gauge('roost_qs_queues', 'Queues with at least so many unread messages.', async (observe) => {
      const { atLeast } = await sample();
      for (const [at, unread] of UNREAD_STEPS.entries()) {
        observe(atLeast[at] ?? 0, { unread: String(unread) });
      }
    }),
  );
  observed.use(
    gauge('roost_qs_unread_messages', 'Messages that lie in queues.', async (observe) =>
      observe((await sample()).unread),
    ),
  );
  observed.use(
    gauge(
      'roost_qs_oldest_unread_age_seconds',
      'Since when the oldest unread message lies in its queue, in whole days.',
      async (observe) => observe((await sample()).oldestDays * DAY_S),
    ),
  );
  return observed;
}

const SAMPLE_MS = 10_000;
const DAY_S = 86_400;

/** Several gauges share one reading. */
function keptFor<T>(ms: number, read: () => Promise<T>): () => Promise<T> {
  let last: Promise<T> | undefined;
  let readAt = -Infinity;
  return async () => {
    if (last === undefined || performance.now() - readAt > ms) {
      readAt = performance.now();
      last = read();
      last.catch(() => {
        last = undefined;
      });
    }
    return await last;
  };
}
