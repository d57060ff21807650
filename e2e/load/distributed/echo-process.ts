import { createServer, type ServerHttp2Stream } from 'node:http2';
import { Nats } from '@roost/bus/nats';
import { NatsBus } from '@roost/bus/nats-bus';

/** What a bare counterpart is answered by, in a process of its own: the same bytes, and nothing done to them. */
export interface EchoTask {
  readonly nats?: ConstructorParameters<typeof Nats>[0];
}

export interface EchoAnswer {
  /** Of an HTTP/2 server without TLS that answers any call of gRPC with what it was asked. */
  readonly port: number;
}

function echo(stream: ServerHttp2Stream): void {
  const chunks: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat(chunks));
  });
}

process.on('message', ({ nats: options }: EchoTask) => {
  if (options !== undefined)
    new NatsBus(new Nats(options), new Uint8Array(32)).serve(async (bytes) => bytes);
  const server = createServer();
  server.on('stream', echo);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    process.send?.({ port } satisfies EchoAnswer);
  });
});
process.on('disconnect', () => process.exit());
