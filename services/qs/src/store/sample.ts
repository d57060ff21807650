import { DAY_MS } from '@roost/core/time';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** How full queues are, as far as a sample tells. */
export interface QueueSample {
  /** As the last vacuum or analyze found it, where there are more than a sample. */
  readonly queues: number;
  /** Queues with at least as many unread messages as the step of the same place in UNREAD_STEPS. */
  readonly atLeast: readonly number[];
  readonly unread: number;
  /** Whole days. */
  readonly oldestDays: number;
}

export const UNREAD_STEPS = [1, 10, 100, 1_000, 10_000] as const;

/** Reads so many queues at most, give or take a page: all of them where there are fewer. */
const QUEUES_MAX = 20_000;

export async function sampleQueues(on: Executor): Promise<QueueSample> {
  const [size] = await countQueues(on);
  const share = Math.min(1, QUEUES_MAX / Math.max(1, size?.queues ?? 0));
  const [found] = await readSample(on, share * 100);
  const today = Math.floor(Date.now() / DAY_MS);
  const scaled = (count: bigint | undefined): number => Math.round(Number(count ?? 0n) / share);
  return {
    queues: scaled(found?.queues),
    atLeast: [found?.one, found?.ten, found?.hundred, found?.thousand, found?.more].map(scaled),
    unread: scaled(found?.unread),
    oldestDays: Math.max(0, today - (found?.oldest ?? today)),
  };
}

/** Events that were put aside and are kept. */
export async function countDeadLetters(on: Executor): Promise<bigint> {
  const [found] = await selectLetters(on);
  return found?.letters ?? 0n;
}

const selectLetters = statement<[], { letters: bigint }>(
  'qs_count_dead_letters',
  `SELECT count(*) AS letters FROM dead_letters`,
);

/** As the last vacuum or analyze found it: -1 before the first. */
const countQueues = statement<[], { queues: number }>(
  'qs_count_queues',
  `SELECT reltuples::float8 AS queues FROM pg_class WHERE oid = 'queues'::regclass`,
);

const readSample = statement<
  [percent: number],
  {
    queues: bigint;
    one: bigint;
    ten: bigint;
    hundred: bigint;
    thousand: bigint;
    more: bigint;
    unread: bigint;
    oldest: number | null;
  }
>(
  'qs_sample_queues',
  `SELECT count(*) AS queues,
          count(*) FILTER (WHERE unread >= 1) AS one,
          count(*) FILTER (WHERE unread >= 10) AS ten,
          count(*) FILTER (WHERE unread >= 100) AS hundred,
          count(*) FILTER (WHERE unread >= 1000) AS thousand,
          count(*) FILTER (WHERE unread >= 10000) AS more,
          coalesce(sum(unread), 0)::bigint AS unread,
          min(stored_day) AS oldest
     FROM (SELECT client_id, acknowledged, next_sequence - acknowledged AS unread
             FROM queues TABLESAMPLE SYSTEM ($1)) AS sampled
     LEFT JOIN LATERAL (
       SELECT stored_day FROM runs
        WHERE runs.client_id = sampled.client_id AND unread > 0
        ORDER BY first_sequence
        LIMIT 1
     ) AS first ON true`,
);
