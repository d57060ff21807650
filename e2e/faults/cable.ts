import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { sleep } from '@roost/core/time';

/**
 * `whole`: as if it were not there. `mute-there`, `mute-back`, `mute`: what is said in this direction, or
 * in both, does not arrive until it is whole again, as behind a broken switch; connections stand. `cut`:
 * connections are reset and none is taken.
 */
export type Condition = 'whole' | 'mute-there' | 'mute-back' | 'mute' | 'cut';

type Direction = 'there' | 'back';

/** A line between two processes that can be damaged. */
export class Cable implements AsyncDisposable {
  /** Where the near end is plugged in: `host:port`. */
  readonly address: string;
  /** Sees what goes to the far end, as it passes. */
  watch: ((bytes: Buffer) => void) | undefined;
  /** Bytes a second on the way back; nobody counts where it is not set. */
  backPerSecond: number | undefined;
  #condition: Condition = 'whole';
  #healed = Promise.withResolvers<undefined>();
  readonly #target: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: string, server: Server) {
    this.#target = target;
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => void this.#join(socket));
  }

  static async open(target: string): Promise<Cable> {
    const server = createServer({ noDelay: true, pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Cable(target, server);
  }

  /** Damages it, or makes it whole. */
  set(condition: Condition): void {
    this.#condition = condition;
    if (condition === 'cut') for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#healed.resolve(undefined);
    this.#healed = Promise.withResolvers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #join(near: Socket): Promise<void> {
    if (this.#condition === 'cut') {
      near.resetAndDestroy();
      return;
    }
    const [host = '', port] = this.#target.split(':');
    const far = connect({ host, port: Number(port), noDelay: true });
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        for (const each of [near, far]) each.destroy();
      });
    }
    const ways = [
      pipeline(near, this.#line('there'), far),
      pipeline(far, this.#line('back'), near),
    ];
    await Promise.allSettled(ways);
  }

  /** Holds back what does not come through; the window of whoever says it closes then. */
  #line(direction: Direction) {
    return async function* (this: Cable, source: AsyncIterable<Buffer>) {
      for await (const bytes of source) {
        if (direction === 'there') this.watch?.(bytes);
        await this.#passes(direction, bytes.length);
        yield bytes;
      }
    }.bind(this);
  }

  async #passes(direction: Direction, length: number): Promise<void> {
    const rate = this.backPerSecond;
    if (direction === 'back' && rate !== undefined) await sleep((length / rate) * 1_000);
    while (this.#condition === 'mute' || this.#condition === `mute-${direction}`) {
      await this.#healed.promise;
    }
  }
}
