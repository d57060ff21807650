import { callingQsClient } from '@roost/rpc/service';
import { readRuns } from '../store/queues.ts';
import { acknowledgeBelow } from './ack.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { parseCount } from './parse.ts';

export const MESSAGES_MAX = 500;
/** A page; one run alone can be larger. */
export const PAGE_BYTES_MAX = 1024 * 1024;

export function dequeue(deps: Dependencies): QueueHandlers['dequeue'] {
  const { database, records } = deps;
  return async (request, context) => {
    const from = parseCount(request.fromSequence, 'from_sequence');
    const isMaxGiven = request.max > 0 && request.max < MESSAGES_MAX;
    const messagesMax = isMaxGiven ? request.max : MESSAGES_MAX;
    const client = await records.client(callingQsClient(context));

    const { end, runs } = await database.transaction(async (tx) => {
      const next = await acknowledgeBelow(tx, client.clientId, from, 'from_sequence');
      const page = { messagesMax, bytesMax: PAGE_BYTES_MAX };
      return { end: next, runs: await readRuns(tx, client.clientId, from, page) };
    });

    await records.touch(client);
    const last = runs.at(-1);
    const read = last === undefined ? end : last.firstSequence + BigInt(last.count);
    return { runs, remaining: end - read };
  };
}
