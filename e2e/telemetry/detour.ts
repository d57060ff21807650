import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Door } from '@roost/e2e/door';

/**
 * The way to a door from an address that is nobody else's on this machine: what is found of it in a log is the
 * address of a client.
 */
export class Detour implements AsyncDisposable {
  readonly door: Door;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(door: Door, server: Server, sockets: Set<Socket>) {
    this.door = door;
    this.#server = server;
    this.#sockets = sockets;
  }

  static async open({ address, ca }: Door, from: string): Promise<Detour> {
    const [host = '', port = ''] = address.split(':');
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (client) => {
      const onward = connect({ host, port: Number(port), localAddress: from, noDelay: true });
      for (const [one, other] of [
        [client, onward],
        [onward, client],
      ] as const) {
        sockets.add(one);
        one.on('error', () => other.destroy());
        one.once('close', () => other.destroy());
        one.pipe(other);
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const at = server.address();
    if (at === null || typeof at === 'string') throw new Error('it listens on a port');
    return new Detour({ address: `127.0.0.1:${at.port}`, ca }, server, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
