import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { DIRECTORY_BYTES_MAX, parseDirectory, signDirectory } from '@roost/federation/directory';
import { firstKey, KEYS_MAX, nextKey } from '@roost/federation/keys';
import { SPOKEN } from '@roost/federation/versions';

import { pageOf, serveDirectory } from './well-known.ts';

const PATH = '/.well-known/roost-federation';
const domain = parseDomain(`${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example`);
let server: Awaited<ReturnType<typeof serveDirectory>>;
let directory: Uint8Array;

beforeAll(async () => {
  const createdMs = Date.now();
  const keys = [firstKey(crypto, domain, createdMs - 1_000)];
  while (keys.length < KEYS_MAX) keys.push(nextKey(crypto, domain, keys.at(-1)!, createdMs));
  const pins = Array.from({ length: 8 }, () => crypto.random(32));
  const endpoint = { host: `federation.${domain}`, port: 65_535 };
  const about = { domain, serial: 2n ** 62n, createdMs, protocol: SPOKEN, endpoint, pins };
  directory = signDirectory(crypto, { ...about, keys });
  server = await serveDirectory({ host: '127.0.0.1', port: 0 }, () => pageOf(directory));
});
afterAll(async () => await server[Symbol.asyncDispose]());

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

async function ask(method: string, path: string, body = ''): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const order = { port: server.port, host: '127.0.0.1', method, path, agent: false };
    const asked = request(order, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: text });
      });
    });
    asked.once('error', reject).end(body);
  });
}

test('the largest directory that there can be is served as others read it', async () => {
  const { status, headers, body } = await ask('GET', PATH);
  expect(status).toBe(200);
  expect(headers).toMatchObject({
    ...{ 'content-type': 'application/json', 'content-length': String(body.length) },
    'cache-control': 'public, max-age=300',
  });
  expect(body.length).toBeLessThanOrEqual(DIRECTORY_BYTES_MAX);
  expect(parseDirectory(new TextEncoder().encode(body))).toEqual(directory);
  const head = await ask('HEAD', PATH);
  expect([head.status, head.body, head.headers['content-length']]).toEqual([
    ...[200, '', String(body.length)],
  ]);
});

test.each([
  ['POST', PATH, 405],
  ['DELETE', PATH, 405],
  ['GET', `${PATH}/`, 404],
  ['GET', `${PATH}?x`, 404],
  ['GET', '/', 404],
  ['GET', '/metrics', 404],
  ['POST', '/roost.federation.v1.PeerService/Call', 404],
])('%s %s is refused', async (method, path, status) => {
  const answer = await ask(method, path, method === 'POST' ? 'x' : '');
  expect([answer.status, answer.body]).toEqual([status, '']);
});

test('what is no request is closed, and harms nobody', async () => {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  socket.write('\x16\x03\x01 no HTTP\r\n\r\n');
  await new Promise((resolve) => {
    socket.once('close', resolve);
  });
  expect((await ask('GET', PATH)).status).toBe(200);
});
