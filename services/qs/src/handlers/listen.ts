import type { QueueRun } from '@roost/bus/queue';
import { callingQsClient } from '@roost/rpc/service';
import type { Seat } from '../listeners.ts';
import { queueUnknown } from '../records.ts';
import { readAsListener, takeListener } from '../store/queues.ts';
import { spendNonce } from '../store/housekeeping.ts';
import { acknowledgeBelow } from './ack.ts';
import type { Dependencies, QueueHandlers } from './dependencies.ts';
import { MESSAGES_MAX, PAGE_BYTES_MAX } from './dequeue.ts';
import { callingNonce, parseCount } from './parse.ts';

const PAGE = { messagesMax: MESSAGES_MAX, bytesMax: PAGE_BYTES_MAX };

export function listen(deps: Dependencies): QueueHandlers['listen'] {
  const { database, clock, records, listeners, limits } = deps;
  return async function* listening(request, context) {
    const from = parseCount(request.fromSequence, 'from_sequence');
    const client = await records.client(callingQsClient(context));
    const { clientId } = client;
    const nonce = callingNonce(context);

    const listener = await database.transaction(async (tx) => {
      await spendNonce(tx, nonce, new Date(clock.now()));
      await acknowledgeBelow(tx, clientId, from, 'from_sequence');
      return await takeListener(tx, clientId);
    });

    await records.touch(client);
    using seat = listeners.sit(clientId, listener, from);
    const read = async (position: bigint): Promise<readonly QueueRun[]> => {
      const found = await readAsListener(database, clientId, position, PAGE);
      if (found === undefined) throw queueUnknown();
      if (found.listener > listener) listeners.leaveTo(clientId, found.listener);
      seat.assertSeated();
      return found.runs;
    };
    yield* follow(seat, read, limits, context.signal);
  };
}

/**
 * Pulled by whoever writes to the wire: where it is slow, nothing is taken, and what is pushed meanwhile
 * is bounded by the seat.
 */
async function* follow(
  seat: Seat,
  read: (position: bigint) => Promise<readonly QueueRun[]>,
  { keepAliveMs, reconnectWithinMs }: Dependencies['limits'],
  signal: AbortSignal,
) {
  while (!signal.aborted) {
    seat.assertSeated();
    if (seat.takeNotice()) yield { runs: [], reconnectWithinMs };
    const runs = await seat.take(read);
    if (runs.length > 0) {
      const push = seat.takePush();
      yield { runs, reconnectWithinMs: 0 };
      push?.end();
      continue;
    }
    const isWoken = await seat.wait(keepAliveMs, signal);
    if (!isWoken) yield { runs: [], reconnectWithinMs: 0 };
  }
}
