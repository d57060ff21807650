import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { concat, fromBase64url, utf8 } from '@roost/core/bytes';
import { HOUR_MS, systemClock } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { hkdfExpand, hkdfExtract } from '@roost/crypto/hkdf';
import { type Asked, certificate, PushProvider } from './push-provider.fixture.ts';
import { WebPush, type WebPushOptions } from './web-push.ts';

let provider: PushProvider;
beforeAll(async () => {
  provider = await PushProvider.open();
});
afterAll(async () => {
  await provider[Symbol.asyncDispose]();
});
beforeEach(() => {
  provider.asked.length = 0;
  provider.answer = (response) => response.writeHead(201).end();
});

const sender = crypto.p256.generate();
const receiver = crypto.p256.generate();
const auth = crypto.random(16);
const { signal } = new AbortController();

function webPush(options: Partial<WebPushOptions> = {}): WebPush {
  const { privateKey } = sender;
  const subject = 'https://home.example';
  const common = { crypto, clock: systemClock, privateKey, subject, authority: certificate };
  return new WebPush({ ...common, isPrivateAllowed: true, ...options });
}

const to = (endpoint: string) => ({ endpoint, p256dh: receiver.publicKey, auth });
const here = (path = '') => to(`https://localhost:${provider.port}/${path}`);

/** RFC 8291 from the other side. */
function opened({ body }: Asked): string | undefined {
  const [salt, point, sealed] = [body.slice(0, 16), body.slice(21, 86), body.slice(86)];
  const shared = crypto.p256.dh(receiver.privateKey, point) ?? new Uint8Array(0);
  const info = concat(utf8('WebPush: info\0'), receiver.publicKey, point);
  const ikm = hkdfExpand(crypto, hkdfExtract(crypto, auth, shared), info, 32);
  const prk = hkdfExtract(crypto, salt, ikm);
  const key = hkdfExpand(crypto, prk, utf8('Content-Encoding: aes128gcm\0'), 16);
  const nonce = hkdfExpand(crypto, prk, utf8('Content-Encoding: nonce\0'), 12);
  const plain = crypto.open(key, nonce, new Uint8Array(0), sealed);
  return plain === undefined ? undefined : new TextDecoder().decode(plain);
}

test('a push reaches its subscription, is signed for that provider, and says nothing', async () => {
  const push = webPush();
  expect(push.publicKey).toEqual(sender.publicKey);
  expect(await push.send(here('abc'), signal)).toBe('sent');
  expect(await push.send(here('abc'), signal)).toBe('sent');
  const [first, second] = provider.asked;
  if (first === undefined || second === undefined) throw new Error('two were sent');
  expect(first.method).toBe('POST');
  expect(first.headers).toMatchObject({ 'content-encoding': 'aes128gcm', ttl: '86400' });
  const [, claims = ''] = first.headers.authorization?.split('.') ?? [];
  const said = JSON.parse(new TextDecoder().decode(fromBase64url(claims)));
  expect(said).toMatchObject({
    aud: `https://localhost:${provider.port}`,
    sub: 'https://home.example',
  });
  expect(said.exp * 1_000).toBeLessThan(Date.now() + 24 * HOUR_MS);
  expect([opened(first), opened(second)]).toEqual(['{"roost":1}\u0002', '{"roost":1}\u0002']);
  expect(first.body).not.toEqual(second.body);
});

const statuses: readonly (readonly [status: number, outcome: string])[] = [
  [200, 'sent'],
  [202, 'sent'],
  [404, 'gone'],
  [410, 'gone'],
  [400, 'refused'],
  [403, 'refused'],
  [413, 'refused'],
  [429, 'later'],
  [500, 'later'],
  [503, 'later'],
];
test.each(statuses)('an answer %d is understood as %s', async (status, outcome) => {
  provider.answer = (response) => response.writeHead(status).end();
  expect(await webPush().send(here(), signal)).toBe(outcome);
});

test('a redirect is not followed', async () => {
  const location = `https://localhost:${provider.port}/inside`;
  provider.answer = (response) => response.writeHead(307, { location }).end();
  expect(await webPush().send(here(), signal)).toBe('refused');
  expect(provider.asked).toHaveLength(1);
});

test('an answer without an end is not read', async () => {
  const ended = new Promise<void>((resolve) => {
    provider.answer = (response: ServerResponse) => {
      response.writeHead(201);
      const pour = setInterval(() => response.write('x'.repeat(65_536)), 1);
      response.on('close', () => {
        clearInterval(pour);
        resolve();
      });
    };
  });
  expect(await webPush().send(here(), signal)).toBe('sent');
  await ended;
});

test('what hangs is given up with the process, and what is not trusted may be tried again', async () => {
  provider.answer = () => undefined;
  const stop = new AbortController();
  const sending = webPush().send(here(), stop.signal);
  setTimeout(() => stop.abort(), 50);
  expect(await sending).toBe('later');
  provider.answer = (response) => response.writeHead(201).end();
  expect(await webPush({ authority: undefined }).send(here(), signal)).toBe('later');
  const nobody = to('https://127.0.0.1:1/');
  expect(await webPush().send(nobody, signal)).toBe('later');
});

test.each([
  'https://127.0.0.1:PORT/',
  'https://localhost:PORT/',
  'https://[::1]:PORT/',
  'https://[::ffff:127.0.0.1]:PORT/',
  'https://2130706433:PORT/',
  'https://0x7f.1:PORT/',
  'https://10.0.0.1/',
  'https://169.254.169.254/latest/meta-data',
])('%s leads inside and is refused', async (endpoint) => {
  const guarded = webPush({ isPrivateAllowed: false });
  const url = endpoint.replace('PORT', String(provider.port));
  expect(await guarded.send(to(url), signal)).toBe('refused');
  expect(provider.asked).toEqual([]);
});

test.each([
  'http://localhost:PORT/',
  'ftp://localhost/',
  'https://user:word@localhost:PORT/',
  'localhost',
  '',
])('%j is no endpoint, inside or not', async (endpoint) => {
  const url = endpoint.replace('PORT', String(provider.port));
  expect(await webPush().send(to(url), signal)).toBe('refused');
  expect(provider.asked).toEqual([]);
});

test('keys of a subscription that are none are refused', async () => {
  const broken = { ...here(), p256dh: new Uint8Array(65) };
  expect(await webPush().send(broken, signal)).toBe('refused');
});
