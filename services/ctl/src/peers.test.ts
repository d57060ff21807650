// Processes that know each other by what `roostctl certificates` made: over real sockets, with real certificates.
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { parseDomain } from '@roost/core/ids';
import { systemClock } from '@roost/core/time';
import { clientOf, connectPeer, type PeerChannel } from '@roost/rpc/client';
import { frame } from '@roost/rpc/frames';
import { echoBinding, EchoDefinition, type EchoHandlers } from '@roost/rpc/echo.fixture';
import { isServing } from '@roost/rpc/health';
import type { MutualTls } from '@roost/rpc/peer';
import { type RunningServer, serve } from '@roost/rpc/server';
import { createLog } from '@roost/service/log';
import { watchTlsFiles, readTlsFiles } from '@roost/service/tls-files';
import { makeCertificates } from './certificates.ts';

const home = parseDomain('home.example');
const aas = { domain: home, name: 'aas' };
const any = { typeUrl: 'a', value: Uint8Array.of(1) };
const log = createLog('test', 'silent');
const folder = mkdtempSync(join(tmpdir(), 'roost-peers-'));
const [ours, foreign, ended] = ['ours', 'foreign', 'ended'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];

beforeAll(async () => {
  await makeCertificates({ domain: home, folder: ours, days: 30 });
  await makeCertificates({ domain: home, folder: foreign, days: 30 });
  mkdirSync(ended);
  for (const name of ['ca.crt', 'ca.key']) copyFileSync(join(ours, name), join(ended, name));
  await makeCertificates({ domain: home, folder: ended, days: -1 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const pathsOf = (name: string, where = ours) => ({
  cert: join(where, `${name}.crt`),
  key: join(where, `${name}.key`),
  ca: join(where, 'ca.crt'),
});

function identityOf(name: string, where = ours): MutualTls {
  const { cert, key } = pathsOf(name, where);
  return {
    cert: readFileSync(cert, 'utf8'),
    key: readFileSync(key, 'utf8'),
    ca: readFileSync(join(ours, 'ca.crt'), 'utf8'),
  };
}

async function serving(
  handlers: Partial<EchoHandlers> = {},
  options: { readonly tls?: MutualTls; readonly port?: number } = {},
): Promise<RunningServer> {
  const { tls = identityOf('aas'), port = 0 } = options;
  return await serve({
    ...{ listen: { host: '127.0.0.1', port }, tls, callers: { certifiedBy: home } },
    ...{ bindings: [echoBinding(handlers)], log },
  });
}

function dial(server: RunningServer, name: string, where = ours): PeerChannel {
  return connectPeer([server.address], aas, identityOf(name, where));
}

const echoOver = (channel: PeerChannel) => clientOf(EchoDefinition, channel);

/** OK, or what a call was refused with. */
async function heard(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    return error instanceof Failure ? error.reason : String(error);
  }
}

test('a caller is who its certificate says, whatever it calls itself', async () => {
  const callers: string[] = [];
  await using server = await serving({
    service: async (request, { caller }) => {
      callers.push(caller);
      return request;
    },
  });
  const said: Record<string, string[]> = {};
  for (const name of ['qs', 'ds', 'edge', 'operator', 'gate']) {
    using channel = dial(server, name);
    const { service, open, operator } = echoOver(channel);
    said[name] = [await heard(service(any)), await heard(open(any)), await heard(operator(any))];
  }
  expect(said).toEqual({
    qs: ['OK', 'METHOD_UNKNOWN', 'METHOD_UNKNOWN'],
    ds: ['METHOD_UNKNOWN', 'METHOD_UNKNOWN', 'METHOD_UNKNOWN'],
    edge: ['METHOD_UNKNOWN', 'OK', 'METHOD_UNKNOWN'],
    operator: ['METHOD_UNKNOWN', 'METHOD_UNKNOWN', 'OK'],
    gate: ['METHOD_UNKNOWN', 'METHOD_UNKNOWN', 'METHOD_UNKNOWN'],
  });
  expect(callers).toEqual(['qs']);
});

test.each([
  ['no certificate', undefined],
  ['one of another authority', () => foreign],
  ['one that has ended', () => ended],
])('%s gets no handshake', async (_, where) => {
  await using server = await serving();
  const { cert, key, ca } = where === undefined ? identityOf('qs') : identityOf('qs', where());
  const socket = connectTls({
    ...{ host: '127.0.0.1', port: server.port, ca, ALPNProtocols: ['h2'] },
    ...(where === undefined ? {} : { cert, key }),
    checkServerIdentity: () => undefined,
  });
  let bytes = 0;
  socket.on('data', ({ length }: Buffer) => (bytes += length));
  // In TLS 1.3 a client has done its own half of the handshake before it hears of it.
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('close', resolve));
  expect(bytes).toBe(0);
});

test('a certificate of this authority for another domain gets no call', async () => {
  await using server = await serving();
  const elsewhere = join(folder, 'elsewhere');
  await makeCertificates({ domain: parseDomain('other.example'), folder: elsewhere, days: 30 });
  // Even where somebody has put both authorities into one file.
  const both = [ours, elsewhere].map((each) => readFileSync(join(each, 'ca.crt'), 'utf8'));
  server.renew({ ...identityOf('aas'), ca: both.join('') });
  using channel = dial(server, 'qs', elsewhere);
  expect(await heard(echoOver(channel).service(any, { deadlineMs: 2_000 }))).toBe('UNAVAILABLE');
});

test('a client talks to nobody but the service that it means', async () => {
  for (const tls of [identityOf('as'), identityOf('aas', foreign), identityOf('aas', ended)]) {
    const reached: string[] = [];
    const service: EchoHandlers['service'] = async (request) => (reached.push('it'), request);
    await using server = await serving({ service }, { tls: { ...tls, ca: identityOf('as').ca } });
    using channel = dial(server, 'qs');
    expect(await heard(echoOver(channel).service(any, { deadlineMs: 2_000 }))).toBe('UNAVAILABLE');
    expect(reached).toEqual([]);
  }
});

test('new files are new certificates, without a restart and without a call lost', async () => {
  const mine = join(folder, 'mine');
  await makeCertificates({ domain: home, folder: mine, days: 30 });
  const paths = pathsOf('aas', mine);
  const first = await readTlsFiles(paths, aas, systemClock);
  await using server = await serving({}, { tls: first });
  const shown = async (): Promise<string> => {
    const session = await dialRaw(server, { ...identityOf('qs', mine), ca: first.ca });
    const serial = serialOf(session.socket);
    session.destroy();
    return serial;
  };
  const renewed = Promise.withResolvers<void>();
  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  const watching = watchTlsFiles(
    { paths, self: aas, clock: systemClock, log, everyMs: 20 },
    first,
    (tls) => {
      server.renew(tls);
      renewed.resolve();
    },
    stop.signal,
  );
  stack.defer(async () => {
    stop.abort();
    await watching;
  });
  const before = await shown();
  using channel = connectPeer([server.address], aas, {
    ...identityOf('qs', mine),
    ca: first.ca,
  });
  expect(await heard(echoOver(channel).service(any))).toBe('OK');

  await makeCertificates({ domain: home, folder: mine, days: 60 });
  await renewed.promise;
  expect(await shown()).not.toBe(before);
  channel.renew({ ...identityOf('qs', mine), ca: first.ca });
  expect(await heard(echoOver(channel).service(any))).toBe('OK');
  // As strict as before.
  using stranger = dial(server, 'qs', foreign);
  const call = echoOver(stranger).service(any, { deadlineMs: 1_000 });
  expect(await heard(call)).toBe('UNAVAILABLE');
  const old = connectTls({
    ...{ host: '127.0.0.1', port: server.port, ...identityOf('qs', mine), ca: first.ca },
    ...{ maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'], checkServerIdentity: () => undefined },
  });
  await once(old, 'error');
});

test('a server that drains tells connections to go, and what comes all the same may go elsewhere', async () => {
  const [began, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using server = await serving({
    service: async (request) => {
      began.resolve();
      await go.promise;
      return request;
    },
  });
  using channel = dial(server, 'qs');
  const early = echoOver(channel).service(any);
  await began.promise;
  // A session that does not look at what it is told, as one whose next call is on its way.
  const raw = await dialRaw(server, identityOf('qs'));
  const told = once(raw, 'goaway');
  const open = raw.request(headersOf('/roost.echo.v1.EchoService/Service'));
  open.on('error', () => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const tooLate = raw.request(headersOf('/roost.echo.v1.EchoService/Service'));
  tooLate.end(frame(new Uint8Array(0)));
  const refused = new Promise((resolve) => tooLate.on('error', () => resolve(tooLate.rstCode)));
  server.drain();
  expect(await told).toEqual([constants.NGHTTP2_NO_ERROR, 1, undefined]);
  expect(await refused).toBe(constants.NGHTTP2_REFUSED_STREAM);
  // Nobody new is let in.
  using late = dial(server, 'qs');
  expect(await isServing(late)).toBe(false);
  go.resolve();
  expect(await heard(early)).toBe('OK');
  raw.destroy();
});

test('calls that race against the drain of one of two go to the other one, and none is lost', async () => {
  const servers = [await serving(), await serving()];
  using channel = connectPeer(
    servers.map(({ address }) => address),
    aas,
    identityOf('qs'),
  );
  const { service } = echoOver(channel);
  for (let warm = 0; warm < 20; warm++) await service(any);
  const said = new Map<string, number>();
  const over = new AbortController();
  const calling = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) {
      const answer = await heard(service(any));
      said.set(answer, (said.get(answer) ?? 0) + 1);
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const [first, second] = servers;
  await first?.close(1_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  over.abort();
  await Promise.all(calling);
  expect([...said.keys()]).toEqual(['OK']);
  await second?.close(0);
});

test('addresses take turns, the dead one is left out, and it comes back', async () => {
  const counts = [0, 0];
  const replica = async (at: 0 | 1, port = 0): Promise<RunningServer> =>
    await serving(
      {
        service: async (request) => {
          counts[at] = (counts[at] ?? 0) + 1;
          return request;
        },
      },
      { port },
    );
  let first = await replica(0);
  await using second = await replica(1);
  using channel = connectPeer([first.address, second.address], aas, identityOf('qs'));
  const { service } = echoOver(channel);
  const call = async (times: number): Promise<string[]> => {
    const said: string[] = [];
    for (let at = 0; at < times; at++) said.push(await heard(service(any)));
    return [...new Set(said)];
  };
  // Until it is connected to both.
  for (let waited = 0; counts.includes(0) && waited < 30_000; waited += 10) {
    await call(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  counts.fill(0);
  expect(await call(20)).toEqual(['OK']);
  expect(counts).toEqual([10, 10]);

  const { port } = first;
  await first[Symbol.asyncDispose]();
  expect(await call(20)).toEqual(['OK']);
  expect(counts).toEqual([10, 30]);

  first = await replica(0, port);
  for (let waited = 0; counts[0] === 10 && waited < 30_000; waited += 50) {
    await call(2);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(counts[0]).toBeGreaterThan(10);
  await first[Symbol.asyncDispose]();
});

async function dialRaw(server: RunningServer, tls: MutualTls): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://127.0.0.1:${server.port}`, {
    ...tls,
    checkServerIdentity: () => undefined,
  });
  session.on('error', () => undefined);
  await once(session, 'connect');
  return session;
}

const headersOf = (path: string) => ({
  ...{ ':method': 'POST', ':path': path },
  ...{ te: 'trailers', 'content-type': 'application/grpc' },
});

function serialOf(socket: ClientHttp2Session['socket']): string {
  return socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : '';
}
