import { callingQsClient } from '@roost/rpc/service';
import { setSilenced } from '../store/handles.ts';
import { spendNonce } from '../store/housekeeping.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { lockOwnHandles, parseHandleHashes } from './own-handles.ts';
import { callingNonce } from './parse.ts';

export function silenceHandles(deps: Dependencies): QueueHandlers['silenceHandles'] {
  const { database, clock, records } = deps;
  return async (request, context) => {
    const hashes = parseHandleHashes(deps, request.handles);
    const { clientId } = await records.client(callingQsClient(context));

    await database.transaction(async (tx) => {
      await spendNonce(tx, callingNonce(context), new Date(clock.now()));
      await lockOwnHandles(tx, clientId, hashes);
      await setSilenced(tx, hashes, request.silenced);
    });

    return {};
  };
}
