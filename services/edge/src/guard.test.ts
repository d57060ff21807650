import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { type Guard, guard } from './guard.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-guard-'));
const certificate = join(folder, 'tls.crt');
// Envoy's admin port, which only listens here; the real one is drained in e2e/edge.
const asked: string[] = [];
const admin = createServer((request, response) => {
  asked.push(request.url ?? '');
  response.end('http.edge.downstream_rq_active: 0\n');
});
await new Promise<void>((done) => admin.listen(0, '127.0.0.1', done));
const address = admin.address();
const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
afterAll(() => {
  admin.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  asked.length = 0;
  writeFileSync(certificate, 'first');
});

const order: Guard = {
  admin: { host: '127.0.0.1', port },
  drain: { noticeMs: 0, callsMs: 100 },
  ...{ certificates: [certificate], lookEveryMs: 5, spreadMs: 1 },
};
const letGo = [
  '/healthcheck/fail',
  '/drain_listeners?inboundonly&graceful',
  '/stats?filter=^http.edge.downstream_rq_active$',
];

async function until(is: () => boolean): Promise<void> {
  for (let waited = 0; !is() && waited < 2_000; waited++) await sleep(5);
  expect(is()).toBe(true);
}

test('when it is told to stop it lets Envoy go, and does not end it', async () => {
  const stop = Promise.withResolvers<void>();
  const guarding = guard(order, stop.promise);
  await sleep(30);
  expect(asked).toEqual([]);
  stop.resolve();
  await guarding;
  expect(asked).toEqual(letGo);
});

test('when a certificate changes Envoy is let go and ended, once', async () => {
  const stop = Promise.withResolvers<void>();
  const guarding = guard(order, stop.promise);
  // It has read the first one by then.
  await sleep(200);
  writeFileSync(certificate, 'second');
  await until(() => asked.includes('/quitquitquit'));
  await sleep(30);
  expect(asked).toEqual([...letGo, '/quitquitquit']);
  stop.resolve();
  await guarding;
});

test('a certificate that is away for a moment is no renewal', async () => {
  const stop = Promise.withResolvers<void>();
  const guarding = guard(order, stop.promise);
  await sleep(30);
  rmSync(certificate);
  await sleep(30);
  writeFileSync(certificate, 'first');
  await sleep(30);
  expect(asked).toEqual([]);
  stop.resolve();
  await guarding;
});

test('an Envoy that is gone already needs no more', async () => {
  await guard({ ...order, admin: { host: '127.0.0.1', port: 1 } }, Promise.resolve());
});
