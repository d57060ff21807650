import type { Door } from '@roost/e2e/door';
import { Wire } from '@roost/e2e/wire';

const ACK = '/roost.queue.v1.QueueService/Ack';

/**
 * Gives a token for a call that nobody signed. `UNAUTHENTICATED` says that the gate let it pass: it is
 * spent, and the service behind asks who calls.
 */
export async function spend(door: Door, authorization: string, path = ACK): Promise<string> {
  const { said } = await new Wire(door).grpc({ path, authorization });
  return said;
}
