import type { Database } from '@roost/postgres/database';
import type { QueueAdminServiceDefinition } from '@roost/proto/roost/queue/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import type { Listeners } from '../listeners.ts';
import { countDeadLetters, sampleQueues, UNREAD_STEPS } from '../store/sample.ts';

interface Parts {
  readonly database: Database;
  readonly listeners: Pick<Listeners, 'count'>;
}

/** What the operator asks of the QS: numbers and ages. */
export function queueAdminHandlers({
  database,
  listeners,
}: Parts): Handlers<typeof QueueAdminServiceDefinition> {
  return {
    async measureQueues() {
      const { queues, unread, atLeast, oldestDays } = await sampleQueues(database);
      return {
        queues: BigInt(queues),
        unread: BigInt(unread),
        steps: UNREAD_STEPS.map((step, at) => ({
          unread: step,
          queues: BigInt(atLeast[at] ?? 0),
        })),
        oldestDays,
        deadLetters: await countDeadLetters(database),
        listeners: listeners.count,
      };
    },
  };
}
