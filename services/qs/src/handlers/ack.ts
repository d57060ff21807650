import { malformed } from '@roost/core/failure';
import type { Executor } from '@roost/postgres/executor';
import { callingQsClient } from '@roost/rpc/service';
import { queueUnknown } from '../records.ts';
import { forgetTold } from '../store/push.ts';
import { acknowledge, lockForReader } from '../store/queues.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { parseCount } from './parse.ts';

export function ack(deps: Dependencies): QueueHandlers['ack'] {
  const { database, records } = deps;
  return async (request, context) => {
    const below = parseCount(request.belowSequence, 'below_sequence');
    const client = await records.client(callingQsClient(context));

    await database.transaction((tx) => acknowledgeBelow(tx, client.clientId, below));

    await records.touch(client);
    return {};
  };
}

/** Locks the queue, deletes what is read, and tells where the queue ends. */
export async function acknowledgeBelow(
  tx: Executor,
  clientId: bigint,
  below: bigint,
  field = 'below_sequence',
): Promise<bigint> {
  const queue = await lockForReader(tx, clientId);
  if (queue === undefined) throw queueUnknown();
  if (below > queue.next) throw malformed(field, 'lies beyond the end of the queue');
  if (below > queue.acknowledged) await acknowledge(tx, clientId, below);
  await forgetTold(tx, clientId);
  return queue.next;
}
