import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** RFC 9113 §4.1: length (3), type (1), flags (1), stream (4). */
const HEAD_BYTES = 9;
const HEADERS = 1;

/**
 * Stands between clients and a homeserver and cuts connections the moment an answer begins: what was
 * asked is done by then, and nobody hears of it.
 */
export class Cutter implements AsyncDisposable {
  /** How many answers were lost. */
  cuts = 0;
  /** After how many answers a connection loses the next one; `undefined` for not now. */
  readonly #mercy: () => number | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: string, mercy: () => number | undefined) {
    this.#mercy = mercy;
    this.#server = createServer({ noDelay: true }, (socket) => this.#join(socket, target));
  }

  static async open(target: string, mercy: () => number | undefined): Promise<Cutter> {
    const cutter = new Cutter(target, mercy);
    cutter.#server.listen(0, '127.0.0.1');
    await once(cutter.#server, 'listening');
    return cutter;
  }

  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `127.0.0.1:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket, target: string): void {
    const [host, port] = target.split(':');
    const far = connect({ host: host ?? '', port: Number(port), noDelay: true });
    const both = [near, far];
    const end = (): void => both.forEach((socket) => socket.destroy());
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    near.pipe(far);
    const frames = new Frames();
    let left: number | undefined;
    far.on('data', (bytes: Buffer) => {
      const answers = frames.take(bytes);
      left ??= this.#mercy();
      if (left === undefined || answers <= left) {
        if (left !== undefined) left -= answers;
        near.write(bytes);
        return;
      }
      this.cuts++;
      end();
    });
  }
}

/** Counts the HEADERS frames that begin in what goes by; trailers count too. */
class Frames {
  #rest: Buffer = Buffer.alloc(0);
  #skip = 0;

  take(bytes: Buffer): number {
    let found = 0;
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const skipped = Math.min(this.#skip, this.#rest.length);
      this.#skip -= skipped;
      this.#rest = this.#rest.subarray(skipped);
      if (this.#rest.length < HEAD_BYTES) return found;
      if (this.#rest[3] === HEADERS) found++;
      this.#skip = HEAD_BYTES + this.#rest.readUIntBE(0, 3);
    }
  }
}
