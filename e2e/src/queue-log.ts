import { decodeGroupEvent, type GroupEvent } from '@roost/bus/group-event';
import { emptyState, openRun, type QueueReader } from '@roost/bus/queue';
import { assert } from '@roost/core/assert';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { ListenResponse } from '@roost/proto/roost/queue/v1/queue';
import type { Witness } from './witness.ts';

/**
 * All that came out of somebody's queue, in its order, opened by the test and not by the client, who
 * would hide what came twice. Runs that a new stream repeats are passed over; none may be missing.
 */
export async function queueLog(person: Witness): Promise<GroupEvent[]> {
  const { queueKey } = await person.account();
  const events: GroupEvent[] = [];
  let reader: QueueReader = { next: 0n, state: emptyState };
  for (const { path, message } of person.recorder.streamed) {
    if (!path.endsWith('QueueService/Listen')) continue;
    for (const run of ListenResponse.decode(message).runs) {
      if (run.firstSequence < reader.next) continue;
      assert(run.firstSequence === reader.next, 'a queue is dense');
      const { items, ...next } = openRun(crypto, reader, queueKey.privateKey, run);
      reader = next;
      for (const item of items) {
        assert(item.kind !== 'gap', 'nothing is lost');
        if (item.kind === 'event') events.push(decodeGroupEvent(item.groupEvent));
      }
    }
  }
  return events;
}
