import { QsClientId } from '@roost/core/ids';
import { monthOf } from '@roost/core/time';
import { callingQsUser } from '@roost/rpc/service';
import { queueUnknown } from '../records.ts';
import { deletePackages } from '../store/add-packages.ts';
import { buryHandles } from '../store/handles.ts';
import { deleteRuns, lockForReader } from '../store/queues.ts';
import { deleteClient as deleteRecord } from '../store/records.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';

export function deleteClient(deps: Dependencies): QueueHandlers['deleteClient'] {
  const { database, clock, records, listeners } = deps;
  return async (request, context) => {
    const id = QsClientId.parse(request.qsClientId, 'qs_client_id');
    const { userId } = await records.user(callingQsUser(context));
    const client = await records.findClient(id);
    // Deleted before: a repetition has nothing left to do.
    if (client === undefined) return {};
    if (client.userId !== userId) throw queueUnknown();

    await database.transaction(async (tx) => {
      await lockForReader(tx, client.clientId);
      await deleteRuns(tx, client.clientId);
      await deletePackages(tx, client.clientId);
      await buryHandles(tx, client.clientId, monthOf(clock.now()));
      await deleteRecord(tx, client.clientId);
    });

    records.forget(id.uuid);
    listeners.dismiss(client.clientId);
    return {};
  };
}
