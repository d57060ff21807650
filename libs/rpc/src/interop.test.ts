import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { createChannel, createClientFactory, Metadata } from 'nice-grpc-web';

import { clientOf, connect } from './client.ts';
import { EchoDefinition, echoBinding } from './echo.fixture.ts';
import { Deframer, frame, statusIn } from './frames.ts';
import { type RunningServer, serve } from './server.ts';

/** Held against clients that are not ours: nice-grpc-web, grpc-js over TLS, bare HTTP/2. */

const folder = mkdtempSync(join(tmpdir(), 'roost-tls-'));
const hello = { typeUrl: 'hello', value: Uint8Array.of(1, 2, 3) };
let plain: RunningServer;
let secure: RunningServer;
let cert: string;

beforeAll(async () => {
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', ...kind, ...files, ...subject], { stdio: 'ignore' });
  cert = readFileSync(join(folder, 'cert.pem'), 'utf8');
  const key = readFileSync(join(folder, 'key.pem'), 'utf8');

  const binding = echoBinding({
    large: async () => {
      throw new Failure('NAME_TAKEN', 'taken');
    },
  });
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const common = { bindings: [binding], callers: 'edge', log };
  const listen = { host: 'localhost', port: 0 };
  plain = await serve({ ...common, listen });
  secure = await serve({ ...common, listen, tls: { cert, key } });
});

afterAll(async () => {
  await Promise.all([plain.close(0), secure.close(0)]);
  rmSync(folder, { recursive: true });
});

test('nice-grpc-web understands our answers, streams and refusals', async () => {
  const channel = createChannel(`http://${plain.address}`);
  const client = createClientFactory().create(EchoDefinition, channel);
  expect(await client.open(hello)).toEqual(hello);
  const seen: number[] = [];
  for await (const each of client.follow(hello)) seen.push(each.value[0] ?? 0);
  expect(seen).toEqual([1, 2, 3]);

  let trailer = new Metadata();
  const refused = client.large(hello, { onTrailer: (got) => (trailer = Metadata(got)) });
  await expect(refused).rejects.toMatchObject({ code: 6, details: 'taken' });
  expect(trailer.get('grpc-status-details-bin')).toBeDefined();
});

test('gRPC is served over TLS, to clients that trust the certificate', async () => {
  using trusting = connect(secure.address, { tls: { ca: cert } });
  expect(await clientOf(EchoDefinition, trusting).open(hello)).toEqual(hello);
  using distrusting = connect(secure.address, { tls: {} });
  const call = clientOf(EchoDefinition, distrusting).open(hello, { deadlineMs: 2_000 });
  await expect(call).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});

test('a browser that speaks HTTP/2 over TLS gets gRPC-web there', async () => {
  const session = connectHttp2(`https://${secure.address}`, { ca: cert });
  const call = session.request({
    ':method': 'POST',
    ':path': '/roost.echo.v1.EchoService/Open',
    'content-type': 'application/grpc-web+proto',
  });
  call.end(frame(EchoDefinition.methods.open.requestType.encode(hello).finish()));
  const frames = new Deframer(1 << 20);
  const got = [];
  for await (const chunk of call) got.push(...frames.push(chunk as Uint8Array));
  session.close();

  expect(got.map(({ kind }) => kind)).toEqual(['message', 'trailers']);
  const last = got.at(-1);
  const status = statusIn((name) => (last?.kind === 'trailers' ? last.trailers.get(name) : null));
  expect(status?.code).toBe(0);
});

test('what is not TLS on a TLS port harms nobody', async () => {
  using channel = connect(secure.address);
  const call = clientOf(EchoDefinition, channel).open(hello, { deadlineMs: 1_000 });
  await expect(call).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  using trusting = connect(secure.address, { tls: { ca: cert } });
  expect(await clientOf(EchoDefinition, trusting).open(hello)).toEqual(hello);
});

test('a caller that resets its calls as fast as it can is no trouble to others', async () => {
  const session = connectHttp2(`http://${plain.address}`);
  session.on('error', () => {});
  for (let at = 0; at < 500; at++) {
    const call = session.request({
      ':method': 'POST',
      ':path': '/roost.echo.v1.EchoService/Open',
      'content-type': 'application/grpc',
    });
    call.on('error', () => {});
    call.close(8);
  }
  using channel = connect(plain.address);
  expect(await clientOf(EchoDefinition, channel).open(hello)).toEqual(hello);
  session.destroy();
});

test('the health of the process is told to who asks', async () => {
  const ask = async (isHealthy: boolean) => {
    const log = { info: () => {}, warn: () => {}, error: () => {} };
    const listen = { host: 'localhost', port: 0 };
    await using server = await serve({
      bindings: [],
      callers: 'edge',
      log,
      listen,
      health: () => isHealthy,
    });
    using channel = connect(server.address);
    return await channel.unary({
      path: '/grpc.health.v1.Health/Check',
      request: Uint8Array.of(0x0a, 1, 0x78),
      proof: undefined,
      authorization: undefined,
      deadlineMs: 2_000,
      signal: undefined,
    });
  };
  expect(await ask(true)).toEqual(Uint8Array.of(8, 1));
  expect(await ask(false)).toEqual(Uint8Array.of(8, 2));
});

test('a tool that reflects learns the services, and the files of a symbol', async () => {
  const descriptors = readFileSync(
    new URL('../../../proto/gen/descriptors.binpb', import.meta.url),
  );
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const listen = { host: 'localhost', port: 0 };
  const bindings = [echoBinding({})];
  await using server = await serve({ bindings, callers: 'edge', log, listen, descriptors });
  using channel = connect(server.address);
  const ask = async (field: number, text: string) => {
    const answers = [];
    const call = {
      path: '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      request: Uint8Array.of((field << 3) | 2, text.length, ...Buffer.from(text)),
      proof: undefined,
      authorization: undefined,
      deadlineMs: 2_000,
      signal: undefined,
    };
    for await (const each of channel.stream(call)) answers.push(Buffer.from(each).toString());
    return answers.join('');
  };
  expect(await ask(7, '')).toContain('roost.echo.v1.EchoService');
  const files = await ask(4, 'roost.queue.v1.QueueService.Listen');
  expect(files).toContain('roost/queue/v1/queue.proto');
  expect(files).toContain('roost/access/v1/access.proto');
  expect(await ask(3, 'nothing.proto')).toContain('there is no such symbol');
});
