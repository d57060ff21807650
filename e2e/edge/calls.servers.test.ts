// What becomes of a call on its way through a real edge: its headers, its body, its streams, its end.
import { once } from 'node:events';
import { createSecureServer, type IncomingHttpHeaders } from 'node:http2';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Failure } from '@roost/core/failure';
import { connectTo, connectWebTo } from '@roost/e2e/door';
import type { Service } from '@roost/e2e/servers/environment';
import { Tokens } from '@roost/e2e/tokens';
import { Witness } from '@roost/e2e/witness';
import type { Outgoing } from '@roost/rpc/call';
import type { BoundMethod, ServiceBinding } from '@roost/rpc/service';
import { Asker, WAYS } from './asking.fixture.ts';
import { BehindEnvoy } from './behind-envoy.fixture.ts';

const FREE = '/roost.authentication.v1.AuthenticationService/GetHomeserver';
const SLOW = '/roost.delivery.v1.DeliveryService/GetExternalSender';
const BEGIN = '/roost.authentication.v1.AuthenticationService/BeginRegistration';
const LISTEN = '/roost.queue.v1.QueueService/Listen';
const SEND = '/roost.delivery.v1.DeliveryService/SendMessage';
const SLOW_MS = 1_500;
const LONG_MS = 21_000;

let world: BehindEnvoy;
let tokens: Tokens;
let asker: Asker;
let slowCalls = 0;

beforeAll(async () => {
  world = await BehindEnvoy.open({
    between: (_, binding) => replaced(binding),
    env: {
      ROOST_BODY_MS: '1500',
      ROOST_DRAIN_NOTICE_MS: '300',
      ROOST_ALLOWED_ORIGINS: 'https://app.example.org',
    },
  });
  {
    await using somebody = await Witness.come(world.door, 'wanda');
    tokens = await Tokens.of(somebody, world.door);
    for (const _ of [1, 2]) await tokens.draw('general', 100);
  }
  asker = new Asker(world.door);
});
afterAll(async () => {
  asker[Symbol.dispose]();
  await world[Symbol.asyncDispose]();
});

/** A method that takes its time, and a stream that says what it is told to. */
function replaced(binding: ServiceBinding): ServiceBinding {
  const methods = [...binding.methods].map(([path, method]): [string, BoundMethod] => {
    if (path === SLOW && method.kind === 'unary') return [path, { ...method, answer: slowly }];
    if (path === LISTEN && method.kind === 'stream')
      return [path, { ...method, answer: streaming }];
    return [path, method];
  });
  return { ...binding, methods: new Map(methods) };
}

function isUnderWay(count: number): boolean {
  return slowCalls === count;
}

async function slowly(): Promise<Uint8Array> {
  slowCalls++;
  await sleep(SLOW_MS);
  return Uint8Array.of(8, 1);
}

/** The request says how long it lasts, in tenths of a second; it ends with a refusal. */
async function* streaming({ request, signal }: Parameters<BoundMethod['answer']>[0]) {
  yield Uint8Array.of(1);
  await sleep((request[0] ?? 0) * 100, signal);
  yield Uint8Array.of(2);
  throw new Failure('LISTENER_REPLACED', 'another took over');
}

async function outgoing(path: string, request = new Uint8Array(0)): Promise<Outgoing> {
  const authorization = path === FREE || path === SLOW ? undefined : await authorize();
  return {
    path,
    request,
    authorization,
    proof: undefined,
    deadlineMs: undefined,
    signal: undefined,
  };
}

async function authorize(): Promise<string> {
  return await tokens.take('general');
}

test('a stream outlasts every timeout of a call, and ends with its status', async () => {
  const hear = async (answers: AsyncIterable<Uint8Array>): Promise<string> => {
    const heard = [];
    try {
      for await (const message of answers) heard.push(message[0]);
    } catch (error) {
      heard.push(error instanceof Failure ? error.reason : String(error));
    }
    return heard.join(' ');
  };
  using channel = connectTo(world.door);
  const long = Uint8Array.of(LONG_MS / 100);
  const since = Date.now();
  const heard = await Promise.all([
    hear(channel.stream(await outgoing(LISTEN, long))),
    hear(connectWebTo(world.door).stream(await outgoing(LISTEN, long))),
  ]);
  expect(heard).toEqual(['1 2 LISTENER_REPLACED', '1 2 LISTENER_REPLACED']);
  expect(Date.now() - since).toBeGreaterThan(20_000);
});

test('a connection carries a hundred streams at once, and more one after the other', async () => {
  using channel = connectTo(world.door);
  const began = { open: 0, most: 0 };
  const ends: unknown[] = [];
  const run = async () => {
    try {
      for await (const [kind] of channel.stream(await outgoing(LISTEN, Uint8Array.of(40)))) {
        if (kind === 1) began.most = Math.max(began.most, ++began.open);
      }
    } catch (error) {
      began.open--;
      ends.push(error instanceof Failure ? error.reason : error);
    }
  };
  await Promise.all(Array.from({ length: 130 }, run));
  expect(ends).toEqual(Array.from({ length: 130 }, () => 'LISTENER_REPLACED'));
  expect(began.most).toBeGreaterThanOrEqual(100);
});

test('a body that does not come to its end is not waited for', async () => {
  const session = asker.connection();
  const since = Date.now();
  const stream = session.request({
    ...{ ':method': 'POST', ':path': FREE },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
  });
  const headers: IncomingHttpHeaders = {};
  stream.on('response', (heard) => Object.assign(headers, heard)).on('error', () => {});
  stream.write(Uint8Array.of(0, 0, 0));
  stream.resume();
  await once(stream, 'end');
  session.destroy();
  expect(headers).toMatchObject({ ':status': 200, 'grpc-status': '4' });
  expect(headers['grpc-message']).toBe('the call took too long');
  expect(Date.now() - since).toBeLessThan(10_000);
});

test('a page of an allowed origin may call and read what it hears; of another it may not', async () => {
  const preflight = async (origin: string) =>
    await asker.ask('gRPC-web over HTTP/1.1', {
      ...{ path: SEND, method: 'OPTIONS' },
      headers: { origin, 'access-control-request-method': 'POST' },
    });
  const allowed = await preflight('https://app.example.org');
  expect(allowed.http).toBe(200);
  expect(allowed.headers).toMatchObject({
    'access-control-allow-origin': 'https://app.example.org',
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': expect.stringContaining('authorization'),
  });
  const elsewhere = await preflight('https://elsewhere.example.org');
  expect(elsewhere.headers).not.toHaveProperty('access-control-allow-origin');

  // Refusals too: by the AAS, by a service; and by Envoy itself, which anybody may read.
  const unknown = await asker.ask('gRPC-web over HTTP/2', { path: '/nothing/at.all' });
  expect(unknown.headers).toMatchObject({ 'access-control-allow-origin': '*' });
  for (const path of [SEND, BEGIN]) {
    const headers = { origin: 'https://app.example.org' };
    const heard = await asker.ask('gRPC-web over HTTP/2', { path, headers });
    expect(heard.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example.org',
      'access-control-expose-headers': expect.stringContaining('grpc-status-details-bin'),
    });
  }
});

/** What Envoy sends to a service, as it is: a server of ours in the service's place. */
async function recordHeaders(
  seen: IncomingHttpHeaders[],
  as: Service = 'ds',
): Promise<AsyncDisposable> {
  await world.hide('ds');
  const { port } = world.identity('ds');
  const { tls } = world.identity(as);
  const service = createSecureServer({ ...tls, requestCert: true });
  const sessions = new Set<{ destroy(): void }>();
  service.on('session', (session) => sessions.add(session));
  service.on('stream', (stream, headers) => {
    if (headers[':path'] === SEND || headers[':path'] === SLOW) seen.push(headers);
    stream.respond({ 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
  });
  service.listen(port, '127.0.0.1');
  await once(service, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => service.close(resolve));
      await world.serve('ds');
    },
  };
}

test('who is not the service that was meant gets no call', async () => {
  const seen: IncomingHttpHeaders[] = [];
  await using _impostor = await recordHeaders(seen, 'qs');
  const heard = await asker.ask('gRPC', { path: SEND, authorization: await authorize() });
  expect([heard.said, seen]).toEqual(['UNAVAILABLE', []]);
});

test('what only the edge may say is not taken from a client, nor is a client told of', async () => {
  const seen: IncomingHttpHeaders[] = [];
  await using _recording = await recordHeaders(seen);
  const headers = {
    'roost-token-class': 'contact',
    ...{ 'x-envoy-retry-on': '5xx', 'x-envoy-upstream-rq-timeout-ms': '1' },
    ...{ 'x-envoy-external-address': '192.0.2.7', 'x-envoy-force-trace': '1' },
    ...{ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http', 'x-real-ip': '192.0.2.7' },
    ...{ 'x-request-id': 'mine', traceparent: `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01` },
    ...{ tracestate: 'a=b', baggage: 'a=b', 'x-b3-traceid': '1', cookie: 'a=b' },
    ...{ 'user-agent': 'somebody/1', 'grpc-timeout': 'nonsense', forwarded: 'for=192.0.2.7' },
  };
  for (const way of WAYS) {
    const forged = await asker.ask(way, { path: SEND, headers });
    expect(forged.said).toBe('TOKEN_REQUIRED');
    // So Envoy joins what comes twice.
    const authorization = `${await authorize()}, ${await authorize()}`;
    const doubled = await asker.ask(way, { path: SEND, headers, authorization });
    expect(doubled.said).toBe('TOKEN_INVALID');
    expect(seen).toEqual([]);

    const paid = await asker.ask(way, { path: SEND, headers, authorization: await authorize() });
    expect(paid.said).toBe('OK');
    const told = seen.pop() ?? {};
    // Envoy's own, of what it takes for an answer over gRPC-web.
    delete told['grpc-accept-encoding'];
    expect(Object.keys(told).toSorted()).toEqual([
      ...[':authority', ':method', ':path', ':scheme', 'content-type', 'grpc-timeout'],
      ...['roost-token-class', 'te', 'x-forwarded-proto'],
    ]);
    expect(told).toMatchObject({ 'roost-token-class': 'general', 'x-forwarded-proto': 'https' });

    // Where nothing is to pay the gate is not asked, and overwrites nothing.
    await asker.ask(way, { path: SLOW, headers, authorization: await authorize() });
    const free = Object.keys(seen.pop() ?? {});
    expect(free).toContain(':path');
    expect(free).not.toContain('roost-token-class');
    expect(free).not.toContain('authorization');
  }
});

test('a drain lets calls end, tells load balancers first, and takes no new connections', async () => {
  using channel = connectTo(world.door);
  slowCalls = 0;
  const running = Promise.all([
    channel.unary(await outgoing(SLOW)),
    channel.unary(await outgoing(SLOW)),
  ]);
  for (let tries = 0; tries < 1_000 && !isUnderWay(2); tries++) await sleep(10);
  expect(slowCalls).toBe(2);
  const drained = world.edge.drain();
  while (await world.edge.isReady()) await sleep(20);
  // Not yet noticed by everybody: who still comes is served.
  expect((await asker.ask('gRPC', { path: FREE })).said).toBe('OK');
  expect(await running).toEqual([Uint8Array.of(8, 1), Uint8Array.of(8, 1)]);
  await drained;
  expect(world.edge.isRunning).toBe(false);
  await world.edge.start();
  expect((await asker.ask('gRPC', { path: FREE })).said).toBe('OK');
});

test('the log of the edge names methods and outcomes, and nobody', async () => {
  await asker.all({ path: '/who/knows', headers: { 'user-agent': 'somebody/1' } });
  await sleep(500);
  const said = world.edge.said();
  const lines = said.split('\n').filter((line) => line.startsWith('{'));
  expect(lines.length).toBeGreaterThan(20);
  expect(said).not.toMatch(/127\.0\.0\.1|PrivateToken|somebody|who\/knows|192\.0\.2|app\.example/);
  const methods = new Set(lines.map((line) => (JSON.parse(line) as { method: string }).method));
  expect(methods).toContain('unknown');
  expect(methods).toContain(SEND);
});
