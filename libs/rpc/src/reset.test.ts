// What stands between a client and a service that dies resets the streams that had begun: the service is
// away, and no client takes that for a bug.
import { once } from 'node:events';
import { constants, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Channel, connect } from './client.ts';

const server = createServer();
let channel: Channel;

beforeAll(async () => {
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    setTimeout(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR), 10);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  channel = connect(`127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => {
  channel.close();
  server.close();
});

const call = {
  ...{ path: '/a.B/C', request: new Uint8Array(0), deadlineMs: 5_000 },
  ...{ proof: undefined, authorization: undefined, signal: undefined },
};

test('a stream that is reset after it began was cut off: UNAVAILABLE', async () => {
  const messages = channel.stream(call)[Symbol.asyncIterator]();
  await expect(messages.next()).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});

test('so is a call whose answer had begun', async () => {
  await expect(channel.unary(call)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});
