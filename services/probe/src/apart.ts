import { connect } from 'node:net';
import { CannotStart } from '@roost/core/cannot-start';
import { sleep } from '@roost/core/time';

export interface Patience {
  /** How long one attempt may take: policies drop packets, and say nothing. */
  readonly attemptMs: number;
  /** How long a policy may take to hold for a new pod. */
  readonly settleMs: number;
}

const EACH_MS = 500;

/** Whether none of these can be reached: throws with those that can, once policies had the time to hold. */
export async function stayApart(addresses: readonly string[], patience: Patience): Promise<void> {
  const ends = Date.now() + patience.settleMs;
  for (;;) {
    const answers = await Promise.all(
      addresses.map(async (address) =>
        (await isReached(address, patience.attemptMs)) ? address : [],
      ),
    );
    const reached = answers.flat();
    if (reached.length === 0) return;
    if (Date.now() >= ends) {
      throw new CannotStart(
        `${reached.join(', ')} can be reached from here, and should not: does the network of this cluster enforce NetworkPolicies?`,
      );
    }
    await sleep(EACH_MS);
  }
}

/** Somebody takes the connection. Networks refuse in either way: by silence, or as a port where nobody listens. */
async function isReached(address: string, attemptMs: number): Promise<boolean> {
  const at = address.lastIndexOf(':');
  const [host, port] = [address.slice(0, at), Number(address.slice(at + 1))];
  return await new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: attemptMs });
    const end = (isReachable: boolean): void => {
      socket.destroy();
      resolve(isReachable);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') {
        // A name that nobody knows would pass for a wall.
        reject(new CannotStart(`${host} is a name that nobody knows`, { cause: error }));
        socket.destroy();
        return;
      }
      end(false);
    });
  });
}
