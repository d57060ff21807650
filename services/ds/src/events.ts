import type { Log } from '@roost/service/log';

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
  readonly dispatchFailed: (partition: number, attempt: number, error: unknown) => void;
  readonly gapTold: (partition: number) => void;
  readonly batchSplit: (rows: number, error: unknown) => void;
  readonly sweepFailed: (error: unknown) => void;
}

export function dsEvents(log: Log): DsEvents {
  return {
    queuesGone: (count) => log.debug({ count }, 'queues of members are gone'),
    badCommitReported: () => log.info({}, 'a member reported a bad commit'),
    tendingFailed: (error) => log.warn({ error }, 'proposing removals failed; trying again later'),
    groupsExpired: (count) => log.info({ count }, 'groups that nobody used were deleted'),
    epochConflict: () => log.debug({}, 'a commit lost the race for its epoch'),
    dispatchFailed: (partition, attempt, error) =>
      log.warn({ partition, attempt, error }, 'the bus did not take a batch; trying again'),
    gapTold: (partition) =>
      log.warn({ partition }, 'a receiver lost events that are gone here too'),
    batchSplit: (rows, error) =>
      log.warn({ rows, error }, 'a batch of messages failed; each is tried alone'),
    sweepFailed: (error) => log.warn({ error }, 'deleting what has expired failed; trying again'),
  };
}
