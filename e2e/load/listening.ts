import type { QsClientId } from '@roost/core/ids';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { clientOf } from '@roost/rpc/call';
import { type Clients, startClients } from './clients.ts';
import { type House, signing } from './house.ts';
import { Recorder } from './outgoing.ts';
import type { QueueClient } from './queues.ts';

/**
 * Opens a Listen for each client, from a process of their own, at the last message of its queue: it comes
 * at once, and so tells that the stream stands.
 */
export async function listen(
  house: House,
  clients: readonly QueueClient[],
  perConnection: number,
): Promise<Clients> {
  const recorder = new Recorder();
  const qs = clientOf(QueueServiceDefinition, recorder, signing);
  const ends = await endsOf(house);
  for (const { id, sign } of clients) {
    void qs.listen({ fromSequence: (ends.get(id.uuid) ?? 1n) - 1n }, { sign });
  }
  const listening = startClients();
  try {
    await listening.ask({ do: 'prepare', address: house.address, calls: recorder.calls });
    await listening.ask({ do: 'listen', perConnection });
    return listening;
  } catch (error) {
    await listening[Symbol.asyncDispose]();
    throw error;
  }
}

async function endsOf({ databases }: House): Promise<ReadonlyMap<string, bigint>> {
  const rows = await databases.of('qs').query<{ uuid: QsClientId['uuid']; next: bigint }>({
    text: 'SELECT uuid, next_sequence AS next FROM clients JOIN queues USING (client_id)',
  });
  return new Map(rows.map(({ uuid, next }) => [uuid, next]));
}
