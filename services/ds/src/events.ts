import type { Clock } from '@roost/core/time';
import type { Domain } from '@roost/core/ids';
import type { Database } from '@roost/postgres/database';
import { counter, gauge, histogram } from '@roost/service/instruments';
import type { Log } from '@roost/service/log';
import { observePool } from '@roost/service/pool-metrics';
import type { OutboxAge } from './domain/outbox-age.ts';
import { measureOutbox } from './store/depth.ts';

/** What operators care about, one function each. */
export interface DsEvents {
  /** Queues that members named are gone at their QS. */
  readonly queuesGone: (count: number) => void;
  /** A member says that an accepted commit was bad. */
  readonly badCommitReported: () => void;
  /** What the hub proposes waits for another request. */
  readonly tendingFailed: (error: unknown) => void;
  readonly groupsExpired: (count: number) => void;
  readonly epochConflict: () => void;
  /** The receiver answered for a batch. */
  readonly dispatched: (rows: number, durationMs: number) => void;
  readonly dispatchFailed: (partition: number, attempt: number, error: unknown) => void;
  readonly gapTold: (partition: number) => void;
  readonly batchSplit: (rows: number, error: unknown) => void;
  readonly sweepFailed: (error: unknown) => void;
  /** It is not known any more who carries what. */
  readonly leasesFailed: (error: unknown) => void;
  /** Too much waits to be delivered, or not any more. */
  readonly outboxFull: (isFull: boolean) => void;
  /** What is for a homeserver that is away for too long was not put in: it will find a gap. */
  readonly outboxSkipped: () => void;
  readonly restored: () => void;
}

export function dsEvents(log: Log): DsEvents {
  const count = counters();
  return {
    queuesGone: (queues) => {
      count.queuesGone({}, queues);
      log.debug({ count: queues }, 'queues of members are gone');
    },
    badCommitReported: () => {
      count.badCommits({});
      log.info({}, 'a member reported a bad commit');
    },
    tendingFailed: (error) => {
      count.failures({ task: 'tending' });
      log.warn({ error }, 'proposing removals failed; trying again later');
    },
    groupsExpired: (groups) => {
      count.groupsExpired({}, groups);
      log.info({ count: groups }, 'groups that nobody used were deleted');
    },
    epochConflict: () => {
      count.epochConflicts({});
      log.debug({}, 'a commit lost the race for its epoch');
    },
    dispatched: (rows, durationMs) => {
      count.batches({ outcome: 'answered' });
      count.dispatchedRows({}, rows);
      count.dispatchSeconds(durationMs / 1_000, {});
    },
    dispatchFailed: (partition, attempt, error) => {
      count.batches({ outcome: 'failed' });
      log.warn({ partition, attempt, error }, 'the bus did not take a batch; trying again');
    },
    gapTold: (partition) => {
      count.gaps({});
      log.warn({ partition }, 'a receiver lost events that are gone here too');
    },
    batchSplit: (rows, error) => {
      count.splits({});
      log.warn({ rows, error }, 'a batch of messages failed; each is tried alone');
    },
    sweepFailed: (error) => {
      count.failures({ task: 'sweep' });
      log.warn({ error }, 'deleting what has expired failed; trying again');
    },
    leasesFailed: (error) => {
      count.failures({ task: 'leases' });
      log.warn({ error }, 'leases were not prolonged; trying again');
    },
    restored: () =>
      log.warn(
        {},
        'the database was restored: members of groups that went on since come back by themselves',
      ),
    outboxSkipped: () => count.skipped({}),
    outboxFull: (isFull) => {
      if (isFull) log.warn({}, 'the outbox is full: senders are asked to come back');
      else log.info({}, 'the outbox has room again');
    },
  };
}

function counters() {
  return {
    batches: counter('roost_ds_batches_total', 'Batches sent over the bus, by outcome.', {
      outcome: ['answered', 'failed'],
    }),
    dispatchedRows: counter('roost_ds_dispatched_rows_total', 'Rows of the outbox that were sent.'),
    dispatchSeconds: histogram(
      'roost_ds_dispatch_seconds',
      'How long the receiver took to answer for a batch.',
      { boundaries: DISPATCH_S },
    ),
    gaps: counter('roost_ds_gaps_total', 'Batches in which a receiver was told of lost events.'),
    epochConflicts: counter(
      'roost_ds_epoch_conflicts_total',
      'Commits that lost the race for their epoch.',
    ),
    queuesGone: counter('roost_ds_queues_gone_total', 'Queues of members that are gone.'),
    badCommits: counter('roost_ds_bad_commits_total', 'Bad commits that members reported.'),
    groupsExpired: counter('roost_ds_groups_expired_total', 'Groups that nobody used any more.'),
    skipped: counter(
      'roost_ds_outbox_skipped_total',
      'Rows for other homeservers that were not put in, as too much waits for them.',
    ),
    splits: counter('roost_ds_batch_splits_total', 'Transactions of many that were tried singly.'),
    failures: counter('roost_ds_task_failures_total', 'Rounds of upkeep that failed, by task.', {
      task: ['tending', 'sweep', 'leases'],
    }),
  };
}

const DISPATCH_S = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface Observed {
  readonly database: Database;
  readonly clock: Clock;
  readonly leases: { readonly count: number };
  readonly backlog: { readonly isFull: boolean };
  readonly home: Domain;
  readonly age: OutboxAge;
}

/** What operators look at, read when they do. */
export function observeDs(parts: Observed): Disposable {
  const { database, leases, backlog } = parts;
  const observed = new DisposableStack();
  observed.use(observePool('ds', database));
  observed.use(
    gauge('roost_ds_partitions', 'Partitions of the outbox that this process carries.', (observe) =>
      observe(leases.count),
    ),
  );
  observed.use(
    gauge('roost_ds_outbox_full', '1 while senders are asked to come back.', (observe) =>
      observe(backlog.isFull ? 1 : 0),
    ),
  );
  observed.use(observeOutbox(parts));
  return observed;
}

function observeOutbox({ database, clock, home, age }: Observed): Disposable {
  const observed = new DisposableStack();
  observed.use(
    gauge('roost_ds_outbox_rows', 'Rows that wait in the outbox.', async (observe) => {
      const { rows } = await measureOutbox(database, home);
      observe(rows);
    }),
  );
  observed.use(
    gauge(
      'roost_ds_outbox_oldest_age_seconds',
      'For how long the oldest row was seen to wait: as the rows tell no time, since it was first asked for.',
      async (observe) => {
        const { oldest, newest } = await measureOutbox(database, home);
        observe(age.note(clock.now(), oldest, newest) / 1_000);
      },
    ),
  );
  return observed;
}
