// The limiter that all replicas share, on a real server that is stopped, wiped, restarted and frozen.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { RedisLimiter, type RedisLimiterOptions } from '@roost/bus/redis';
import { sleep } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { Valkey } from '@roost/e2e/servers/valkey';

const AWAY = { ok: false, isAway: true };
const bucket = { capacity: 3, refillPerSecond: 0.001 };
const secretKey = crypto.random(32);
const open: RedisLimiter[] = [];
let valkey: Valkey;

beforeAll(async () => {
  valkey = await Valkey.open();
});
afterAll(async () => {
  await Promise.all(open.map((limiter) => limiter[Symbol.asyncDispose]()));
  await valkey[Symbol.asyncDispose]();
});

/** One that has connected. */
async function limiterOf(options: Partial<RedisLimiterOptions> = {}): Promise<RedisLimiter> {
  const limiter = new RedisLimiter({ url: valkey.url, secretKey, ...options });
  open.push(limiter);
  expect(await limiter.isThere()).toBe(true);
  return limiter;
}

/** What the server answers to a command, as it stands on the wire. */
async function say(command: string): Promise<string> {
  const socket = connect(valkey.port, '127.0.0.1').setEncoding('utf8');
  socket.write(`${command}\r\n`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return String(answer);
}

const newKey = (): string => Buffer.from(crypto.random(8)).toString('hex');

async function untilBack(limiter: RedisLimiter): Promise<void> {
  const until = performance.now() + 60_000;
  while (performance.now() < until) {
    const taken = await limiter.take(newKey(), 1, bucket);
    if (taken.ok) return;
    await sleep(20);
  }
  throw new Error('the limiter did not come back');
}

test('two limiters share a bucket, and what races for it gets what it holds', async () => {
  const [one, two] = [await limiterOf(), await limiterOf()];
  const key = newKey();
  const taken = await Promise.all(
    Array.from({ length: 40 }, async (_, at) => await (at % 2 ? one : two).take(key, 1, bucket)),
  );
  expect(taken.filter(({ ok }) => ok)).toHaveLength(3);
  for (const each of taken) {
    if (!each.ok) expect(each).toEqual({ ok: false, retryAfterMs: expect.any(Number) });
  }
  const other = await limiterOf({ prefix: 'another' });
  expect(await other.take(key, 3, bucket)).toEqual({ ok: true });
});

test('a bucket refills by the server clock, says when to come back, and never holds more than all', async () => {
  const limiter = await limiterOf();
  const [key, fast] = [newKey(), { capacity: 4, refillPerSecond: 10 }];
  // What is asked in one breath leaves it no time to refill between.
  const [all, refused] = await Promise.all([
    limiter.take(key, 4, fast),
    limiter.take(key, 2, fast),
  ]);
  expect(all).toEqual({ ok: true });
  expect(refused).toEqual({ ok: false, retryAfterMs: expect.any(Number) });
  const waitMs = 'retryAfterMs' in refused ? refused.retryAfterMs : 0;
  expect(waitMs).toBeGreaterThan(100);
  expect(waitMs).toBeLessThanOrEqual(200);
  await sleep(waitMs + 5);
  expect(await limiter.take(key, 2, fast)).toEqual({ ok: true });
  await sleep(500);
  const [again, more] = await Promise.all([limiter.take(key, 4, fast), limiter.take(key, 1, fast)]);
  expect([again.ok, more.ok]).toEqual([true, false]);
  const never = { ok: false, retryAfterMs: 86_400_000 };
  expect(await limiter.take(newKey(), 2, { capacity: 1, refillPerSecond: 0 })).toEqual(never);
});

test('a bucket is one key with a hash tag, does not say whose it is, and goes when it is full', async () => {
  await valkey.wipe();
  const limiter = await limiterOf();
  await limiter.take('address.192.0.2.1', 1, { capacity: 2, refillPerSecond: 100 });
  const [count, , key = ''] = (await say('KEYS *')).split('\r\n');
  expect(count).toBe('*1');
  expect(key).toMatch(/^roost:\{[\w-]{22}\}$/);
  expect(await say(`HGETALL ${key}`)).not.toContain('192');
  const leftMs = Number((await say(`PTTL ${key}`)).slice(1));
  expect(leftMs).toBeGreaterThan(500);
  expect(leftMs).toBeLessThanOrEqual(1_010);
  await sleep(leftMs + 20);
  expect(await say(`EXISTS ${key}`)).toBe(':0\r\n');
});

test('a server that was wiped forgets, and one that was restarted comes back by itself', async () => {
  const heard: boolean[] = [];
  const limiter = await limiterOf({ changed: (isThere) => void heard.push(isThere) });
  const key = newKey();
  expect(await limiter.take(key, 3, bucket)).toEqual({ ok: true });
  await valkey.wipe();
  expect(await limiter.take(key, 3, bucket)).toEqual({ ok: true });

  await valkey.kill();
  await sleep(50);
  expect(await limiter.take(key, 1, bucket)).toEqual(AWAY);
  await valkey.start();
  await untilBack(limiter);
  expect(await limiter.take(key, 3, bucket)).toEqual({ ok: true });
  expect(heard).toEqual([false, true]);
});

test('over TLS it trusts whom it was told to, and nobody else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'roost limiter '));
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', keyFile, '-out', certFile];
  execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' });
  const [key, cert] = [await readFile(keyFile, 'utf8'), await readFile(certFile, 'utf8')];
  await rm(folder, { recursive: true });
  const door = createServer({ key, cert }, (socket) => {
    socket
      .on('error', () => {})
      .pipe(connect(valkey.port, '127.0.0.1'))
      .pipe(socket);
  });
  door.on('tlsClientError', (_, socket) => socket.destroy());
  await once(door.listen(0, 'localhost'), 'listening');
  const { port } = door.address() as AddressInfo;
  const trusting = await limiterOf({ url: `rediss://localhost:${port}`, ca: cert });
  expect(await trusting.take(newKey(), 3, bucket)).toEqual({ ok: true });
  const other = { url: `rediss://localhost:${port}`, secretKey, patienceMs: 300 };
  const distrusting = new RedisLimiter(other);
  open.push(distrusting);
  expect(await distrusting.isThere()).toBe(false);
  await trusting[Symbol.asyncDispose]();
  await distrusting[Symbol.asyncDispose]();
  door.close();
});

test('one that starts without a server answers at once, and finds it later', async () => {
  await valkey.stop();
  const limiter = new RedisLimiter({ url: valkey.url, secretKey, patienceMs: 2_000 });
  open.push(limiter);
  expect(await limiter.isThere()).toBe(false);
  const begun = performance.now();
  expect(await limiter.take(newKey(), 1, bucket)).toEqual(AWAY);
  expect(performance.now() - begun).toBeLessThan(2_000);
  await valkey.start();
  await untilBack(limiter);
});

test('a frozen server costs its timeout once, then nothing; thawed it counts again', async () => {
  const limiter = await limiterOf({ timeoutMs: 150, patienceMs: 600 });
  await limiter.take(newKey(), 1, bucket);
  valkey.freeze();
  try {
    const begun = performance.now();
    const first = Array.from({ length: 20 }, async () => await limiter.take(newKey(), 1, bucket));
    expect(await Promise.all(first)).toEqual(first.map(() => AWAY));
    expect(performance.now() - begun).toBeLessThan(1_000);
    const after = performance.now();
    for (let at = 0; at < 200; at++) {
      expect(await limiter.take(newKey(), 1, bucket)).toEqual(AWAY);
    }
    // At most one of them asked.
    expect(performance.now() - after).toBeLessThan(1_000);
    // Longer than its patience, so that it connects anew to a server that does not answer.
    await sleep(700);
    expect(await limiter.take(newKey(), 1, bucket)).toEqual(AWAY);
    await sleep(250);
    expect(await limiter.take(newKey(), 1, bucket)).toEqual(AWAY);
  } finally {
    valkey.thaw();
  }
  await untilBack(limiter);
});

test('more than it may have waiting is not asked at all', async () => {
  const limiter = await limiterOf({ timeoutMs: 500 });
  valkey.freeze();
  try {
    const asked = Array.from({ length: 1_200 }, async () => {
      const begun = performance.now();
      expect(await limiter.take(newKey(), 1, bucket)).toEqual(AWAY);
      return performance.now() - begun;
    });
    const took = await Promise.all(asked);
    expect(took.filter((ms) => ms < 450).length).toBeGreaterThanOrEqual(200);
  } finally {
    valkey.thaw();
  }
  await untilBack(limiter);
});

test('what the server refuses is no error here; closed, it asks nobody', async () => {
  const limiter = await limiterOf();
  const wrong = new RedisLimiter({ url: valkey.url.replace('://', '://nobody:wrong@'), secretKey });
  open.push(wrong);
  expect(await wrong.take(newKey(), 1, bucket)).toEqual(AWAY);
  await limiter[Symbol.asyncDispose]();
  expect(await limiter.take(newKey(), 1, bucket)).toEqual(AWAY);
  await limiter[Symbol.asyncDispose]();
});
