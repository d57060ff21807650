import type { Domain } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { DeliveryAdminServiceDefinition } from '@roost/proto/roost/delivery/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import type { OutboxAge } from '../domain/outbox-age.ts';
import { measureOutbox, measurePartitions } from '../store/depth.ts';

interface Parts {
  readonly database: Database;
  readonly clock: Clock;
  readonly home: Domain;
  /** Shared with the metrics, so that the age is known for as long as anybody has been looking. */
  readonly age: OutboxAge;
  readonly backlog: { readonly isFull: boolean };
}

/** What the operator asks of the DS: numbers and ages. */
export function deliveryAdminHandlers({
  database,
  clock,
  home,
  age,
  backlog,
}: Parts): Handlers<typeof DeliveryAdminServiceDefinition> {
  return {
    async measureOutbox() {
      const { oldest, newest } = await measureOutbox(database, home);
      return {
        partitions: [...(await measurePartitions(database))],
        oldestAgeMs: BigInt(Math.round(age.note(clock.now(), oldest, newest))),
        isFull: backlog.isFull,
      };
    },
  };
}
