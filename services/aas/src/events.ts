import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Log } from '@roost/service/log';

export type Events = ReturnType<typeof eventsOf>;

/** What operators care about, one function each. Never who. */
export function eventsOf(log: Log) {
  return {
    issued: (tokenClass: TokenClass, count: number) =>
      log.debug({ tokenClass, count }, 'tokens issued'),
    rotationFailed: (error: unknown) => log.error({ error }, 'issuer keys were not rotated'),
  };
}
