import type { BusAnswer } from '@roost/bus/frames';
import type { Domain } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { DsEvents } from './events.ts';
import { queueDigest } from './fan-out.ts';
import { insertDeadQueues } from './store/dead-queues.ts';

interface Ports {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly transportKey: Uint8Array;
  readonly events: DsEvents;
}

/**
 * Whoever lost its queue is proposed for removal by the next request that opens the group. A homeserver says so of its
 * own queues alone: it could have members of others put out otherwise.
 */
export async function noteGone(
  { database, crypto, transportKey, events }: Ports,
  { home, owner }: { readonly home: Domain; readonly owner: Domain },
  gone: BusAnswer['gone'],
): Promise<void> {
  // Another hub's groups are none of ours, whatever the receiver says.
  const ours = gone.filter(({ groupId }) => groupId.domain === home);
  if (ours.length === 0) return;
  events.queuesGone(ours.length);
  const rows = ours.map(({ groupId, handle }) => ({
    id: groupId.uuid,
    digest: queueDigest({ crypto, transportKey }, { domain: owner, handle }),
  }));
  await insertDeadQueues(database, rows);
}
