import { GroupId, QsClientId, QsUserId, scopedWire } from '@roost/core/ids';
import type { KeyPair } from '@roost/crypto/crypto';
import { signWithLabel } from '@roost/crypto/labelled';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { type CallOptions, clientOf } from '@roost/rpc/call';
import { type Place, signing } from './house.ts';
import { callAll } from './outgoing.ts';

/** A client record at the QS, with its queue. */
export interface QueueClient {
  readonly id: QsClientId;
  readonly sign: NonNullable<CallOptions['sign']>;
}

const CLIENTS_PER_USER = 10;
const HANDLES_PER_CALL = 100;
const IN_FLIGHT = 64;

export async function registerClients(
  { edge }: Pick<Place, 'edge'>,
  count: number,
): Promise<QueueClient[]> {
  const qs = clientOf(QueueServiceDefinition, edge, signing);
  const clients: QueueClient[] = [];
  const users = Array.from({ length: Math.ceil(count / CLIENTS_PER_USER) }, (_, at) => at);
  await callAll(users, Math.ceil(IN_FLIGHT / CLIENTS_PER_USER), async () => {
    const { publicKey, privateKey } = crypto.ed25519.generate();
    const asNew = { key: { kind: 'new-key' as const, publicKey }, privateKey };
    const { qsUserId } = await qs.createUser({ authKey: publicKey }, { sign: asNew });
    const qsUser = QsUserId.parse(qsUserId, 'qs_user_id');
    const asUser = { key: { kind: 'qs-user' as const, qsUser }, privateKey };
    const made = Array.from({ length: CLIENTS_PER_USER }, async (): Promise<QueueClient> => {
      const keys = crypto.ed25519.generate();
      const { qsClientId } = await qs.createClient(newClient(keys), { sign: asUser });
      const qsClient = QsClientId.parse(qsClientId, 'qs_client_id');
      return {
        id: qsClient,
        sign: { key: { kind: 'qs-client', qsClient }, privateKey: keys.privateKey },
      };
    });
    clients.push(...(await Promise.all(made)));
  });
  return clients.slice(0, count);
}

/** A handle that a queue is reached by, for one group. */
export interface Bound {
  readonly handle: Uint8Array;
  readonly groupId: GroupId;
}

/** Binds handles to their groups. The n-th list is the n-th client's. */
export async function bindHandles(
  { edge }: Pick<Place, 'edge'>,
  clients: readonly QueueClient[],
  lists: readonly (readonly Bound[])[],
): Promise<void> {
  const qs = clientOf(QueueServiceDefinition, edge, signing);
  await callAll(lists, IN_FLIGHT, async (list, at) => {
    const { sign } = clients[at] ?? {};
    if (sign === undefined) throw new Error('there are as many clients as lists of handles');
    const handles = list.map(({ handle, groupId }) => ({
      handle,
      binding: { groupId: scopedWire(groupId) },
    }));
    for (let from = 0; from < handles.length; from += HANDLES_PER_CALL) {
      await qs.registerHandles({ handles: handles.slice(from, from + HANDLES_PER_CALL) }, { sign });
    }
  });
}

/** Spreads what is bound over clients, one after the other. */
export function spread<T>(items: readonly T[], over: number): T[][] {
  const lists = Array.from({ length: Math.min(over, items.length) }, (): T[] => []);
  for (const [at, item] of items.entries()) lists[at % lists.length]?.push(item);
  return lists;
}

/** Messages that lie in all queues; secrets of the ratchet are none. */
export async function storedMessages({ databases }: Pick<Place, 'databases'>): Promise<number> {
  const [row] = await databases.of('qs').query<{ count: string }>({
    text: `SELECT coalesce(sum(count) FILTER (WHERE substring(ciphertext FOR 1) = '\\x02'), 0)::text
                  AS count FROM runs`,
  });
  return Number(row?.count);
}

function newClient({ publicKey, privateKey }: KeyPair) {
  const queue = crypto.x25519.generate();
  const signature = signWithLabel(crypto, privateKey, 'QueueClient', queue.publicKey);
  return { authKey: publicKey, queueKey: queue.publicKey, signature };
}
