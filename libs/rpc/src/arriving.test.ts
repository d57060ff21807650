import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session, constants } from 'node:http2';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { afterEach, expect, test } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { Failure } from '@roost/core/failure';

import { type Arriving, arrivingOf } from './arriving.ts';
import { clientOf, connect } from './client.ts';
import { EchoDefinition, echoBinding } from './echo.fixture.ts';
import type { Exchange } from './exchange.ts';
import type { BindOptions } from './service.ts';
import { type RunningServer, serve } from './server.ts';

const CERTIFICATE = readFileSync(new URL('./certificate.fixture.pem', import.meta.url), 'utf8');
const signal = new AbortController().signal;
const open: (RunningServer | ClientHttp2Session)[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function serving(options: Partial<BindOptions>) {
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    bindings: [echoBinding({}, options)],
    callers: 'edge',
    // What a test waits for does not come of itself.
    unaryMs: 600_000,
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  open.push(server);
  return server;
}

/** A call of which no byte but the headers is sent, or some; what it is answered. */
function begin({ address }: RunningServer, some?: Uint8Array) {
  const session = connectHttp2(`http://${address}`);
  open.push(session);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/roost.echo.v1.EchoService/Open',
    'content-type': 'application/grpc',
  });
  if (some !== undefined) stream.write(some);
  stream.on('error', () => undefined);
  return stream;
}

test('a call is let in, or not, before a byte of it is read', async () => {
  const refuse = async () => {
    throw new Failure('RATE_LIMITED', 'not now');
  };
  const [headers] = (await once(begin(await serving({ admit: refuse })), 'response')) as [object];
  expect(headers).toMatchObject({ 'grpc-status': '8' });
});

test('it is inside until it has ended, however it ends', async () => {
  const [inside, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const admit = async (): Promise<Disposable> => {
    inside.resolve();
    return { [Symbol.dispose]: ended.resolve };
  };
  const server = await serving({ admit });
  const stream = begin(server);
  await inside.promise;
  stream.close(constants.NGHTTP2_CANCEL);
  await ended.promise;

  let count = 0;
  const counted = await serving({
    admit: async () => {
      count++;
      return { [Symbol.dispose]: () => count-- };
    },
  });
  using channel = connect(counted.address);
  await clientOf(EchoDefinition, channel).open({ typeUrl: 'x', value: new Uint8Array(1) });
  expect(count).toBe(0);
});

test('who sends a request more slowly than it may is ended, and leaves', async () => {
  const left = Promise.withResolvers<void>();
  const admit = async () => ({ [Symbol.dispose]: left.resolve });
  const stream = begin(await serving({ admit, bodyMs: 30 }), Uint8Array.of(0, 0, 0));
  const [headers] = (await once(stream, 'response')) as [object];
  expect(headers).toMatchObject({ 'grpc-status': '4' });
  await left.promise;
});

function exchange(
  headers: Exchange['headers'],
  caller?: string,
  shown?: X509Certificate,
): Exchange {
  return {
    ...{ path: '/x/Y', headers, address: '', caller, shown: () => shown, body: Readable.from([]) },
    ...{ send: async () => undefined, finish: () => undefined, onGone: () => undefined },
  };
}
const arriving = (...given: Parameters<typeof exchange>): Arriving =>
  arrivingOf(exchange(...given), given[1] ?? 'peer', signal);

const encoded = encodeURIComponent(CERTIFICATE);
const forwarded = { 'x-forwarded-client-cert': `Hash=${'ab'.repeat(32)};Cert="${encoded}"` };
const certificate = new X509Certificate(CERTIFICATE);
const sourced = { ...forwarded, 'roost-source': 'b.example' };

test('what a proxy says that it was shown is believed of the one alone that other homeservers call', () => {
  const behind = arriving(sourced, 'peer');
  expect(behind).toMatchObject({ source: 'b.example', caller: 'peer' });
  expect(behind.certificate?.fingerprint256).toBe(certificate.fingerprint256);
  expect(arriving({}, 'peer', certificate).certificate).toBeUndefined();
  for (const caller of ['edge', 'as', 'operator', 'gate']) {
    expect(arriving(sourced, caller, certificate)).toEqual({ proof: undefined, caller, signal });
  }
});

test('on a connection of its own it counts what was shown there, and nothing that is said', () => {
  expect(arriving(sourced, undefined, certificate).certificate).toBe(certificate);
  expect(arriving(sourced).certificate).toBeUndefined();
  expect(arriving(sourced)).toMatchObject({ source: 'b.example', caller: 'peer' });
});

test.each([
  ['two elements', `${forwarded['x-forwarded-client-cert']},Cert="${encoded}"`],
  ['two certificates', `Cert="${encoded}";Cert="${encoded}"`],
  ['no certificate', 'Hash=00'],
  ['garbage', 'Cert="%2D%2D"'],
  ['half an escape', 'Cert="%2"'],
])('%s are refused', (_, value) => {
  expect(() => arriving({ 'x-forwarded-client-cert': value }, 'peer')).toThrow(
    'the client certificate cannot be read',
  );
});
