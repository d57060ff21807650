import type { QsClientId } from '@roost/core/ids';
import { QueueServiceDefinition } from '@roost/proto/roost/queue/v1/queue';
import { clientOf, type Outgoing } from '@roost/rpc/call';
import { type Clients, startClients } from './clients.ts';
import { type Place, signing } from './house.ts';
import { Recorder } from './outgoing.ts';
import type { QueueClient } from './queues.ts';

/**
 * Opens a Listen for each client, from a process of their own, at the last message of its queue: it comes
 * at once, and so tells that the stream stands.
 */
export async function listen(
  place: Pick<Place, 'databases' | 'door'>,
  clients: readonly QueueClient[],
  perConnection: number,
  paid: (calls: readonly Outgoing[]) => readonly Outgoing[] = (calls) => calls,
): Promise<Clients> {
  const ends = await endsOf(place);
  const listening = startClients();
  try {
    for (let from = 0; from < clients.length; from += SIGNED_AT_ONCE) {
      const recorder = new Recorder();
      const qs = clientOf(QueueServiceDefinition, recorder, signing);
      for (const { id, sign } of clients.slice(from, from + SIGNED_AT_ONCE)) {
        void qs.listen({ fromSequence: (ends.get(id.uuid) ?? 1n) - 1n }, { sign });
      }
      await listening.ask({ do: 'prepare', door: place.door, calls: paid(recorder.calls) });
      await listening.ask({ do: 'listen', perConnection });
    }
    return listening;
  } catch (error) {
    await listening[Symbol.asyncDispose]();
    throw error;
  }
}

/** A signature is good for two minutes, and on a busy machine many connections take longer. */
const SIGNED_AT_ONCE = 1_000;

async function endsOf({
  databases,
}: Pick<Place, 'databases'>): Promise<ReadonlyMap<string, bigint>> {
  const rows = await databases.of('qs').query<{ uuid: QsClientId['uuid']; next: bigint }>({
    text: 'SELECT uuid, next_sequence AS next FROM clients JOIN queues USING (client_id)',
  });
  return new Map(rows.map(({ uuid, next }) => [uuid, next]));
}
