import type { Log } from '@roost/service/log';

export type Events = ReturnType<typeof eventsOf>;

/** What operators care about, one function each. Never who. */
export function eventsOf(log: Log) {
  return {
    registered: () => log.info({}, 'a user registered'),
    invitesMade: (count: number) => log.info({ count }, 'invite codes were made'),
    upkeepFailed: (error: unknown) => log.error({ error }, 'upkeep failed and is tried again'),
  };
}
