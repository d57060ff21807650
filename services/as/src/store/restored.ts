import type { Executor } from '@roost/postgres/executor';
import { RESTORED_GAP, type Restored } from '@roost/postgres/incarnation';
import { statement } from '@roost/postgres/statement';

/**
 * What a restored backup asks for. Codes that were used since would be good again, and registrations be
 * finished a second time. Clients took sequences of their queues that were not given out yet, as the
 * rows say: queues go on where no sequence was ever given out. What lies there still is read by those who
 * have not read it, but does not count as unread, or the queue would be full until then.
 */
export async function finalizeRestore(tx: Executor, { from, to }: Restored): Promise<void> {
  await deleteOpenInvites(tx);
  await deleteOpenRegistrations(tx);
  await moveQueues(tx, BigInt(to - from) * RESTORED_GAP);
}

const deleteOpenInvites = statement<[], never>(
  'as_delete_open_invites',
  `DELETE FROM invites WHERE NOT is_used`,
);

const deleteOpenRegistrations = statement<[], never>(
  'as_delete_open_registrations',
  `DELETE FROM registrations WHERE NOT is_finished`,
);

const moveQueues = statement<[by: bigint], never>(
  'as_move_queues',
  `UPDATE clients
      SET next_sequence = next_sequence + $1::bigint, first_sequence = next_sequence + $1::bigint`,
);
