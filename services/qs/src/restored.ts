import type { Executor } from '@roost/postgres/executor';
import { RESTORED_GAP, type Restored } from '@roost/postgres/incarnation';
import type { QueueWriter } from './queue-writer.ts';
import { listClients, purgePackages, setAcknowledged } from './store/restored.ts';

/**
 * What a restored backup asks for. KeyPackages that were handed out since would be handed out again: all
 * that were published for a single use are forgotten, and their owners publish others. Clients took
 * sequences that were not given out yet, as the rows say, and ratchets would seal other messages under the
 * keys of those: every queue goes on behind a gap with a new secret. Gives how many queues there are.
 */
export async function finalizeRestore(
  tx: Executor,
  { from, to }: Restored,
  writer: Pick<QueueWriter, 'renew'>,
): Promise<number> {
  await purgePackages(tx);
  const by = BigInt(to - from) * RESTORED_GAP;
  let count = 0;
  for (let after = -1n; ;) {
    const clients = await listClients(tx, after, CLIENTS_AT_ONCE);
    const last = clients.at(-1);
    if (last === undefined) break;
    await writer.renew(
      tx,
      clients.map(({ clientId }) => clientId),
      by,
    );
    count += clients.length;
    after = last.clientId;
  }
  await setAcknowledged(tx, by);
  return count;
}

const CLIENTS_AT_ONCE = 500;
