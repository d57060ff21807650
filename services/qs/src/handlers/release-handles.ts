import { callingQsClient } from '@roost/rpc/service';
import { deleteHandles } from '../store/handles.ts';
import { spendNonce } from '../store/housekeeping.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { assertCount, callingNonce, parseBytes } from './parse.ts';

const HANDLES_MAX = 100;

export function releaseHandles(deps: Dependencies): QueueHandlers['releaseHandles'] {
  const { database, crypto, clock, records } = deps;
  return async (request, context) => {
    assertCount(request.handles.length, HANDLES_MAX, 'handles');
    const hashes = request.handles.map((handle) =>
      crypto.sha256(parseBytes(handle, 32, 'handles')),
    );
    const { clientId } = await records.client(callingQsClient(context));

    await database.transaction(async (tx) => {
      await spendNonce(tx, callingNonce(context), new Date(clock.now()));
      await deleteHandles(tx, clientId, hashes);
    });

    return {};
  };
}
