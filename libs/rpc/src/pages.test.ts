import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { echoBinding } from './echo.fixture.ts';
import { type RunningServer, serve } from './server.ts';

const PATH = '/.well-known/something';
let server: RunningServer;
let told = 0;

beforeAll(async () => {
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  server = await serve({
    ...{
      listen: { host: '127.0.0.1', port: 0 },
      bindings: [echoBinding({})],
      callers: 'edge',
      log,
    },
    pages: new Map([
      [PATH, () => ({ type: 'application/json', body: `{"told":${++told}}`, maxAgeS: 60 })],
    ]),
  });
});
afterAll(async () => await server.close(0));

async function ask(path: string, method = 'GET') {
  const session = connectHttp2(`http://${server.address}`);
  try {
    const stream = session.request({ ':method': method, ':path': path });
    const [head] = (await once(stream, 'response')) as [Record<string, unknown>];
    return { status: head[':status'], type: head['content-type'], body: await text(stream) };
  } finally {
    session.destroy();
  }
}

test('a page is told over both versions of HTTP, made anew for each reader', async () => {
  const answer = await fetch(`http://${server.address}${PATH}`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
  expect(answer.headers.get('cache-control')).toBe('public, max-age=60');
  const first = (await answer.json()) as { told: number };
  expect(await ask(PATH)).toEqual({
    ...{ status: 200, type: 'application/json', body: `{"told":${first.told + 1}}` },
  });
  expect(await ask(PATH, 'HEAD')).toMatchObject({ status: 200, body: '' });
});

test.each([
  ['POST', PATH],
  ['GET', `${PATH}/`],
  ['GET', `${PATH}?x`],
  ['GET', '/'],
])('%s %s is no page', async (method, path) => {
  const before = told;
  const answer = await fetch(`http://${server.address}${path}`, { method });
  expect(answer.status).toBe(method === 'POST' ? 415 : 405);
  expect((await ask(path, method)).status).toBe(answer.status);
  expect(told).toBe(before);
});
