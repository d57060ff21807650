// The document of a domain, fetched from servers that do not mean well.
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createServer as createNet, type AddressInfo } from 'node:net';

import { afterEach, beforeAll, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { type Network, parseNetwork } from '@roost/federation/address';

import { type Certificate, makeCertificate } from './certificates.fixture.ts';
import { DIRECTORY_PATH, type DocumentOptions, fetchDocument } from './document.ts';
import { PeerUnreachable } from './unreachable.ts';

const peer = parseDomain('b.example');
const loopback = [parseNetwork('127.0.0.0/8')] as Network[];
const JSON_TYPE = { 'content-type': 'application/json' };
const closing: { close(): unknown; closeAllConnections?(): void }[] = [];
let good: Certificate;

beforeAll(() => {
  good = makeCertificate('b.example', 'DNS:b.example');
});
afterEach(() => {
  for (const server of closing.splice(0)) {
    server.close();
    server.closeAllConnections?.();
  }
});

async function serving(
  answer: RequestListener,
  { cert, key } = good,
  tls: { maxVersion?: 'TLSv1.2' } = {},
): Promise<Server> {
  const server = createServer({ cert, key, ...tls }, answer);
  closing.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}

const portOf = (server: { address(): AddressInfo | string | null }) =>
  (server.address() as AddressInfo).port;

async function fetchFrom(
  server: Parameters<typeof portOf>[0],
  options: Partial<DocumentOptions> = {},
) {
  return await fetchDocument(peer, {
    ...{ port: portOf(server), ca: good.cert, allowed: loopback },
    resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    ...options,
  });
}

/** What was wrong. */
async function flawOf(fetched: Promise<unknown>): Promise<string> {
  const error: unknown = await fetched.then(
    () => undefined,
    (refused: unknown) => refused,
  );
  if (!(error instanceof PeerUnreachable)) throw new Error('it was not refused', { cause: error });
  return error.flaw;
}

test('a document is read as it is sent, by its domain', async () => {
  const asked: unknown[] = [];
  const server = await serving(({ url, headers, method }, response) => {
    asked.push([method, url, headers.host?.split(':')[0], headers['accept-encoding']]);
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end('{"a":1}');
  });
  expect(String(await fetchFrom(server))).toBe('{"a":1}');
  expect(asked).toEqual([['GET', DIRECTORY_PATH, 'b.example', 'identity']]);
});

test('a document of 10 GB is read up to what it may hold', async () => {
  let written = 0;
  const server = await serving((_, response) => {
    response.writeHead(200, JSON_TYPE);
    const chunk = Buffer.alloc(16_384, ' ');
    const pour = (): void => {
      while (!response.destroyed && written < 10 * 2 ** 30) {
        written += chunk.length;
        if (!response.write(chunk)) {
          response.once('drain', pour);
          return;
        }
      }
    };
    pour();
  });
  expect(await flawOf(fetchFrom(server))).toBe('size');
  // What lay in the buffers of both sides.
  expect(written).toBeLessThan(64 * 2 ** 20);
  const honest = await serving((_, response) => {
    response.writeHead(200, { ...JSON_TYPE, 'content-length': String(10 * 2 ** 30) });
    response.write('{');
  });
  expect(await flawOf(fetchFrom(honest))).toBe('size');
});

test.each([301, 302, 303, 307, 308])('a redirect (%s) is not followed', async (status) => {
  let asked = 0;
  const server = await serving((_, response) => {
    asked++;
    response.writeHead(status, { location: 'http://169.254.169.254/latest/meta-data' }).end();
  });
  expect([await flawOf(fetchFrom(server)), asked]).toEqual(['redirect', 1]);
});

test.each([
  ['status', 404, JSON_TYPE],
  ['status', 500, JSON_TYPE],
  ['status', 204, JSON_TYPE],
  ['type', 200, { 'content-type': 'text/html' }],
  ['type', 200, { 'content-type': 'application/jsonp' }],
  ['type', 200, {}],
  ['type', 200, { ...JSON_TYPE, 'content-encoding': 'gzip' }],
])('for its %s an answer is refused: %s %j', async (flaw, status, headers) => {
  const server = await serving((_, response) => response.writeHead(status, headers).end());
  expect(await flawOf(fetchFrom(server))).toBe(flaw);
});

test('who sends byte by byte, or says nothing, is not waited for', async () => {
  const slow = await serving((_, response) => {
    response.writeHead(200, JSON_TYPE);
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  });
  expect(await flawOf(fetchFrom(slow, { timeoutMs: 300 }))).toBe('time');
  expect(await flawOf(fetchFrom(slow, { bodyMs: 300 }))).toBe('time');
  const silent = createNet(() => undefined);
  closing.push(silent);
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  const began = performance.now();
  expect(await flawOf(fetchFrom(silent, { timeoutMs: 300 }))).toBe('time');
  expect(performance.now() - began).toBeLessThan(3_000);
  const never = new Promise<never>(() => {});
  expect(await flawOf(fetchFrom(silent, { timeoutMs: 300, resolve: () => never }))).toBe('time');
});

test('who takes a while to begin, as a busy machine does, is waited for; and not by whoever gives up', async () => {
  const busy = await serving((_, response) => {
    setTimeout(() => response.writeHead(200, JSON_TYPE).end('{}'), 200);
  });
  expect((await fetchFrom(busy, { bodyMs: 100 })).toString()).toBe('{}');
  const giving = new AbortController();
  const fetching = flawOf(fetchFrom(busy, { signal: giving.signal }));
  giving.abort();
  expect(await fetching).toBe('connection');
});

test.each([
  ['another domain', 'b.example', 'DNS:c.example'],
  ['a wildcard', 'b.example', 'DNS:*.example'],
  ['its common name alone', 'b.example', undefined],
  ['a URI', 'b.example', 'URI:https://b.example'],
  ['a name below it', 'b.example', 'DNS:www.b.example'],
  ['another domain, in a name that looks like two', 'b.example', 'DNS:c.example,URI:DNS:b.example'],
])('a certificate for %s is not for the domain', async (_, commonName, names) => {
  const other = makeCertificate(commonName, names);
  const server = await serving((__, response) => response.end(), other);
  expect(await flawOf(fetchFrom(server, { ca: other.cert }))).toBe('certificate');
});

test('a certificate that nobody vouches for, and TLS 1.2, are refused', async () => {
  let asked = 0;
  const answer: RequestListener = (_, response) => {
    asked++;
    response.writeHead(200, JSON_TYPE).end('{}');
  };
  const stranger = await serving(answer, makeCertificate('b.example', 'DNS:b.example'));
  expect(await flawOf(fetchFrom(stranger))).toBe('certificate');
  const old = await serving(answer, good, { maxVersion: 'TLSv1.2' });
  expect(await flawOf(fetchFrom(old))).toMatch(/certificate|connection/);
  expect(asked).toBe(0);
});

test.each([
  [['127.0.0.1']],
  [['10.0.0.1']],
  [['169.254.169.254']],
  [['::1']],
  [['::ffff:127.0.0.1']],
  [['1.1.1.1', '127.0.0.1']],
  [['127.0.0.1', '1.1.1.1']],
])('a name that leads to %j is not connected to', async (addresses) => {
  let connected = 0;
  const server = await serving((_, response) => response.end());
  server.on('connection', () => connected++);
  const resolve = async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  expect(await flawOf(fetchFrom(server, { resolve, allowed: [] }))).toBe('address');
  expect(connected).toBe(0);
});

test('a name that leads inside at the second look is looked at once', async () => {
  let looked = 0;
  const server = await serving((_, response) => {
    response.writeHead(200, JSON_TYPE).end('{}');
  });
  const allowed = [parseNetwork('127.0.0.1/32')] as Network[];
  const resolve = async () => [{ address: looked++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 }];
  await fetchFrom(server, { resolve, allowed });
  expect(looked).toBe(1);
  // And as it leads there now, it is refused.
  expect(await flawOf(fetchFrom(server, { resolve, allowed }))).toBe('address');
});

test('who is not there, or has no name, cannot be reached', async () => {
  const server = await serving(() => undefined);
  const port = portOf(server);
  server.close();
  const gone = { address: () => ({ port, address: '', family: '' }) };
  expect(await flawOf(fetchFrom(gone))).toBe('connection');
  expect(await flawOf(fetchFrom(gone, { resolve: async () => [] }))).toBe('name');
  const resolve = () => Promise.reject(new Error('ENOTFOUND'));
  expect(await flawOf(fetchFrom(gone, { resolve }))).toBe('name');
});
