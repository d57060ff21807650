import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A message as it goes over the wire to NATS. */
export interface Published {
  readonly subject: string;
  readonly payload: Buffer;
}

/** Speaks to NATS itself (its client protocol is text): what a library would not send is sent here. */
export class NatsRaw implements Disposable {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(server: string, user: string, password: string): Promise<NatsRaw> {
    const [host = '', port] = server.split(':');
    const socket = connect({ host, port: Number(port), noDelay: true });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const options = { verbose: false, pedantic: false, headers: true, user, pass: password };
    socket.write(`CONNECT ${JSON.stringify(options)}\r\nPING\r\n`);
    let heard = '';
    while (!heard.includes('PONG')) {
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      heard += bytes.toString();
      if (heard.includes('-ERR')) throw new Error(`NATS says ${heard}`);
    }
    socket.on('data', (bytes: Buffer) => {
      if (bytes.includes('PING')) socket.write('PONG\r\n');
    });
    return new NatsRaw(socket);
  }

  /** Asks for an answer at `reply`, and hears none. */
  publish({ subject, payload }: Published, reply: string): void {
    this.#socket.write(`PUB ${subject} ${reply} ${payload.length}\r\n`);
    this.#socket.write(payload);
    this.#socket.write('\r\n');
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** What a client publishes, out of the bytes that it sends; headers are left out. */
export class Publications {
  #rest = Buffer.alloc(0);

  take(bytes: Buffer): Published[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const found: Published[] = [];
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end < 0) return found;
      const [verb = '', subject = '', ...more] = this.#rest.subarray(0, end).toString().split(' ');
      const isPublished = verb === 'PUB' || verb === 'HPUB';
      const length = isPublished ? Number(more.at(-1)) : 0;
      const headers = verb === 'HPUB' ? Number(more.at(-2)) : 0;
      const after = end + 2 + (isPublished ? length + 2 : 0);
      if (this.#rest.length < after) return found;
      const payload = Buffer.from(this.#rest.subarray(end + 2 + headers, end + 2 + length));
      if (isPublished) found.push({ subject, payload });
      this.#rest = this.#rest.subarray(after);
    }
  }
}
