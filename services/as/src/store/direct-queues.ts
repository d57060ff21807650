import { assert } from '@roost/core/assert';
import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';
import type { DirectQueue } from '../domain/direct-queue.ts';

export interface QueueOf extends DirectQueue {
  readonly clientUuid: Uuid;
}

export interface Stored {
  readonly sequence: bigint;
  readonly sections: Uint8Array;
}

/** Remembers a message for a day; the hash of the earlier one where the id was used before. */
export async function rememberMessage(
  tx: Executor,
  message: { userUuid: Uuid; messageId: Uint8Array; hash: Uint8Array; forgetAt: Date },
): Promise<Uint8Array | undefined> {
  const { userUuid, messageId, hash, forgetAt } = message;
  const [added] = await insertMessageId(tx, userUuid, messageId, hash, forgetAt);
  if (added !== undefined) return undefined;
  const [earlier] = await selectMessageId(tx, userUuid, messageId);
  return earlier?.hash;
}

/** The queues of a user's clients; other senders wait until `tx` ends. */
export async function lockQueuesOf(tx: Executor, userUuid: Uuid): Promise<readonly QueueOf[]> {
  return await selectQueues(tx, userUuid);
}

export async function lockQueue(tx: Executor, clientUuid: Uuid): Promise<QueueOf | undefined> {
  const [queue] = await selectQueue(tx, clientUuid);
  return queue;
}

export async function append(
  tx: Executor,
  messages: readonly { clientUuid: Uuid; sequence: bigint; sections: Uint8Array }[],
): Promise<void> {
  await insertMessages(
    tx,
    messages.map(({ clientUuid, sequence, sections }) => [clientUuid, sequence, sections]),
  );
  for (const { clientUuid, sections } of messages) {
    await updateEnd(tx, clientUuid, BigInt(sections.length));
  }
}

/** Deletes what lies below, and moves the beginning there. */
export async function acknowledge(
  tx: Executor,
  clientUuid: Uuid,
  below: bigint,
  month: number,
): Promise<void> {
  await deleteBelow(tx, clientUuid, below, month);
}

export async function read(on: Executor, clientUuid: Uuid, from: bigint, max: number) {
  return await selectMessages(on, clientUuid, from, max);
}

/** The same, and who listens by now; `undefined` where the client was deleted. */
export async function readAsListener(on: Executor, clientUuid: Uuid, from: bigint, max: number) {
  const rows = await selectMessagesFor(on, clientUuid, from, max);
  const [first] = rows;
  if (first === undefined) return undefined;
  const messages = rows.flatMap(({ sequence, sections }): Stored[] =>
    sequence === null || sections === null ? [] : [{ sequence, sections }],
  );
  return { listener: first.listener, messages };
}

/** Makes this the only listener of a locked queue, and tells its number. */
export async function takeListener(tx: Executor, clientUuid: Uuid): Promise<bigint> {
  const [row] = await raiseListener(tx, clientUuid);
  assert(row !== undefined, 'a locked queue is there');
  return row.listener;
}

export async function forgetMessageIds(on: Executor, now: Date): Promise<void> {
  await deleteMessageIds(on, now);
}

const insertMessageId = statement<
  [userUuid: Uuid, messageId: Uint8Array, hash: Uint8Array, forgetAt: Date],
  { added: boolean }
>(
  'as_insert_message_id',
  `INSERT INTO direct_message_ids (user_uuid, message_id, hash, forget_at)
   VALUES ($1, $2, $3, $4)
   ON CONFLICT DO NOTHING
   RETURNING true AS added`,
);

const selectMessageId = statement<[userUuid: Uuid, messageId: Uint8Array], { hash: Uint8Array }>(
  'as_find_message_id',
  `SELECT hash FROM direct_message_ids WHERE user_uuid = $1 AND message_id = $2`,
);

const QUEUE = `client_uuid AS "clientUuid", next_sequence AS next, first_sequence AS first,
          queued_bytes AS "queuedBytes"`;

const selectQueues = statement<[userUuid: Uuid], QueueOf>(
  'as_lock_queues',
  `SELECT ${QUEUE} FROM clients WHERE user_uuid = $1 ORDER BY client_uuid FOR UPDATE`,
);

const selectQueue = statement<[clientUuid: Uuid], QueueOf>(
  'as_lock_queue',
  `SELECT ${QUEUE} FROM clients WHERE client_uuid = $1 FOR UPDATE`,
);

const insertMessages = rowsStatement<[Uuid, bigint, Uint8Array], never>(
  'as_insert_direct_messages',
  { types: ['uuid', 'bigint', 'bytea'], rowsMax: 16 },
  (values) => `INSERT INTO direct_messages (client_uuid, sequence, sections) ${values}`,
);

const updateEnd = statement<[clientUuid: Uuid, bytes: bigint], never>(
  'as_update_queue_end',
  `UPDATE clients SET next_sequence = next_sequence + 1, queued_bytes = queued_bytes + $2
    WHERE client_uuid = $1`,
);

const deleteBelow = statement<[Uuid, below: bigint, month: number], never>(
  'as_delete_direct_messages',
  `WITH deleted AS (
     DELETE FROM direct_messages WHERE client_uuid = $1 AND sequence < $2
     RETURNING octet_length(sections) AS bytes
   )
   UPDATE clients
      SET first_sequence = $2, active_month = $3,
          queued_bytes = queued_bytes - (SELECT coalesce(sum(bytes), 0) FROM deleted)
    WHERE client_uuid = $1`,
);

const selectMessages = statement<[clientUuid: Uuid, from: bigint, max: number], Stored>(
  'as_read_direct_messages',
  `SELECT sequence, sections FROM direct_messages
    WHERE client_uuid = $1 AND sequence >= $2
    ORDER BY sequence
    LIMIT $3`,
);

const selectMessagesFor = statement<
  [clientUuid: Uuid, from: bigint, max: number],
  { listener: bigint; sequence: bigint | null; sections: Uint8Array | null }
>(
  'as_read_direct_messages_for_listener',
  `SELECT listener, sequence, sections
     FROM clients
     LEFT JOIN LATERAL (
       SELECT sequence, sections FROM direct_messages
        WHERE direct_messages.client_uuid = clients.client_uuid AND sequence >= $2
        ORDER BY sequence
        LIMIT $3
     ) AS messages ON true
    WHERE client_uuid = $1
    ORDER BY sequence`,
);

const raiseListener = statement<[clientUuid: Uuid], { listener: bigint }>(
  'as_raise_listener',
  `UPDATE clients SET listener = listener + 1 WHERE client_uuid = $1 RETURNING listener`,
);

const deleteMessageIds = statement<[now: Date], never>(
  'as_delete_message_ids',
  `DELETE FROM direct_message_ids WHERE forget_at <= $1`,
);
