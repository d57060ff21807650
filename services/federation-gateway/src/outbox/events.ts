import { Failure } from '@roost/core/failure';
import { counter, gauge } from '@roost/service/instruments';
import type { Log } from '@roost/service/log';

import type { Weight } from './store/rows.ts';

/** What operators care about of what goes out: numbers by kind, without the name of a peer. */
export interface OutboxEvents {
  /** A delivery was answered, by what the peer said of it. */
  delivered(outcome: string): void;
  /** A call did not get through. */
  failed(error: unknown): void;
  gapsTold(count: number): void;
  /** Events were given up. */
  buried(reason: string, count: number): void;
  /** A destination has as much waiting as may be, and gets no more. */
  full(): void;
  /** Work in the background did not get done. */
  troubled(task: 'receiver' | 'leases' | 'upkeep' | 'lane', error: unknown): void;
}

export function outboxEvents(log: Log): OutboxEvents {
  const deliveries = counter(
    'roost_federation_deliveries_total',
    'Deliveries to other homeservers, by what they said of them.',
    { outcome: ['stored', ...REASONS] },
  );
  const calls = counter('roost_federation_failed_calls_total', 'Calls that did not get through.');
  const gaps = counter('roost_federation_gaps_total', 'Groups of which a peer was told of a gap.');
  const letters = counter('roost_federation_dead_letters_total', 'Events that were given up.', {
    reason: ['EXPIRED', ...REASONS],
  });
  const refused = counter(
    'roost_federation_outbox_refused_total',
    'Batches of the DS that were not taken, as too much waits for their destination.',
  );
  const failures = counter(
    'roost_federation_outbox_failures_total',
    'Work for what goes out that did not get done.',
    { task: ['receiver', 'leases', 'upkeep', 'lane'] },
  );
  return {
    delivered: (outcome) => deliveries({ outcome }),
    failed: (error) => {
      calls({});
      // Its words may hold addresses.
      const reason = error instanceof Failure ? error.reason : 'INTERNAL';
      log.info({ reason }, 'a homeserver could not be reached; trying again later');
    },
    gapsTold: (count) => {
      gaps({}, count);
      log.warn({ count }, 'a homeserver lost events that are gone here too');
    },
    buried: (reason, count) => {
      letters({ reason }, count);
      if (count > 0) log.warn({ reason, count }, 'events for another homeserver were given up');
    },
    full: () => refused({}),
    troubled: (task, error) => {
      failures({ task });
      log.warn({ error, reason: task }, 'work in the background failed');
    },
  };
}

/** What operators look at, as it was measured last. */
export function observeOutbox(look: {
  readonly weights: () => readonly Weight[];
  readonly lanes: () => { readonly held: number; readonly open: number };
  readonly isFull: (weight: Weight) => boolean;
  readonly now: () => number;
}): Disposable {
  const observed = new DisposableStack();
  const show = (name: string, help: string, read: () => number): void =>
    void observed.use(gauge(`roost_federation_${name}`, help, (observe) => observe(read())));
  const sum = (of: (weight: Weight) => number): number =>
    look.weights().reduce((all, weight) => all + of(weight), 0);
  show('outbox_rows', 'Events that wait for other homeservers.', () => sum(({ rows }) => rows));
  show('outbox_bytes', 'Bytes that wait for them.', () => sum(({ bytes }) => bytes));
  show('outbox_lanes', 'Homeservers that something waits for.', () => look.weights().length);
  show('outbox_full_lanes', 'Those that get no more, as too much waits for them.', () =>
    sum((weight) => (look.isFull(weight) ? 1 : 0)),
  );
  show('outbox_oldest_age_seconds', 'For how long the oldest of it has waited.', () => {
    const ages = look.weights().map(({ oldestMs }) => look.now() - oldestMs);
    return Math.max(0, ...ages) / 1_000;
  });
  show('lanes_carried', 'Homeservers that this process carries to.', () => look.lanes().held);
  show('lanes_open', 'Those of them whose circuit breaker is open.', () => look.lanes().open);
  return observed;
}

const REASONS = [
  ...['UNAVAILABLE', 'RATE_LIMITED', 'FEDERATION_DENIED', 'BAD_ENVELOPE', 'CLOCK_SKEW'],
  ...['REPLAY_MISMATCH', 'MALFORMED', 'TOO_LARGE', 'INVALID_MLS'],
];
