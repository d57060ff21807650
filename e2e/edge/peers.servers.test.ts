// What other homeservers meet: the listener for them, and the well-known address, of a real Envoy.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createSecureServer, type Http2SecureServer, type IncomingHttpHeaders } from 'node:http2';
import { get } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { connect, type ConnectionOptions, TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Neighbourhood } from '@roost/e2e/neighbourhood';
import { OUTSIDE } from '@roost/e2e/samples';
import { certificatesOf } from '@roost/e2e/servers/certificates';
import { Envoy } from '@roost/e2e/servers/envoy';
import { Run } from '@roost/e2e/servers/run';
import { serveDirectory } from '@roost/federation-gateway/well-known';
import { PEER_PATHS } from '@roost/rpc/client-methods';
import { frame } from '@roost/rpc/frames';
import { HEALTH_PATH } from '@roost/rpc/health';
import { Asker } from './asking.fixture.ts';

const DOMAIN = 'a.example';
const PAGE = '/.well-known/roost-federation';
const [CALL = ''] = PEER_PATHS;
const FORGED = {
  'x-forwarded-client-cert': 'By=spiffe://a.example/peer;Hash=00;Subject="CN=b.example"',
  'roost-source': 'b.example',
  'roost-token-class': 'general',
};

interface Reached {
  readonly path: string;
  readonly from: string;
  readonly headers: IncomingHttpHeaders;
}

const open = new AsyncDisposableStack();
let neighbourhood: Neighbourhood;
let edge: Envoy;
let peers: Asker;
let clients: Asker;
let reached: Reached[] = [];

beforeAll(async () => {
  neighbourhood = open.use(await Neighbourhood.open([DOMAIN, 'b.example']));
  const certificates = await certificatesOf(DOMAIN);
  const behind = async (name: string): Promise<string[]> => {
    const server = await listen(certificates, name);
    open.defer(() => void server.close());
    return [`127.0.0.1:${(server.address() as AddressInfo).port}`];
  };
  const nobody = ['127.0.0.1:1'];
  const port = await Run.current().takePort();
  const page = () => ({ type: 'application/json', body: '{"directory":"AAAA"}' });
  open.use(await serveDirectory({ host: '127.0.0.1', port }, page));
  const addresses = {
    mutual: await behind('federation-gateway'),
    directory: [`127.0.0.1:${port}`],
  };
  edge = open.use(
    await Envoy.open({
      ...{ domain: DOMAIN, certificates, met: { neighbourhood, addresses } },
      services: { as: await behind('as'), aas: nobody, qs: nobody, ds: nobody },
      env: { ROOST_PEER_CALLS: '300', ROOST_PEER_CALLS_PER_SECOND: '1' },
    }),
  );
  const { address } = neighbourhood.of(DOMAIN);
  peers = open.use(
    new Asker({ address: `${address}:${neighbourhood.port}`, ca: neighbourhood.ca, name: DOMAIN }),
  );
  clients = open.use(new Asker(edge.door));
  const isThere = async () => (await peers.ask('gRPC', { path: CALL })).said === 'OK';
  while (!(await isThere())) await sleep(100);
});
afterAll(async () => await open.disposeAsync());
beforeEach(() => {
  reached = [];
});

/** Stands for a service, with its certificate; writes down what comes in, but for questions after its health. */
async function listen(certificates: string, name: string): Promise<Http2SecureServer> {
  const read = (file: string) => readFileSync(join(certificates, file), 'utf8');
  const server = createSecureServer({
    ...{ cert: read(`${name}.crt`), key: read(`${name}.key`), ca: read('ca.crt') },
    ...{ requestCert: true, rejectUnauthorized: true },
  });
  server.on('stream', (stream, headers) => {
    const { socket } = stream.session ?? {};
    const from = socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.subjectAltName : '';
    const path = headers[':path'] ?? '';
    // Envoy asks by itself too, with nothing of its own.
    if (path !== HEALTH_PATH || 'x-mine' in headers || 'mine' in headers) {
      reached.push({ path, from: from ?? '', headers });
    }
    stream.on('error', () => undefined);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(frame(Uint8Array.of(8, 1)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test('what peers call is reached as the peer that the edge is, and nothing else of ours is there', async () => {
  for (const path of PEER_PATHS) expect((await peers.ask('gRPC', { path })).said).toBe('OK');
  expect(reached.map(({ path, from }) => [path, from])).toEqual(
    PEER_PATHS.map((path) => [path, 'URI:spiffe://a.example/peer']),
  );
  const others = [...OUTSIDE.map(([path]) => path), HEALTH_PATH, `${CALL}/`, `${CALL}?x`];
  for (const path of others) {
    const heard = await peers.ask('gRPC', { path });
    expect([path, heard.said]).toEqual([path, 'METHOD_UNKNOWN']);
  }
  expect(reached).toHaveLength(PEER_PATHS.length);
});

test('clients do not find what peers call', async () => {
  for (const path of PEER_PATHS) {
    const heard = await clients.all({ path });
    expect(heard.map(({ said }) => said)).toEqual(Array(3).fill('METHOD_UNKNOWN'));
  }
  expect(reached).toEqual([]);
});

test('nobody passes for another by a header', async () => {
  await peers.ask('gRPC', { path: CALL, headers: FORGED });
  await clients.ask('gRPC', { path: HEALTH_PATH, headers: { ...FORGED, mine: '1' } });
  const [peer, client] = reached.map(({ headers }) => headers);
  expect(peer).not.toHaveProperty('x-forwarded-client-cert');
  expect(peer).not.toHaveProperty('roost-token-class');
  // Of a peer it is what it says of itself: the gateway holds it against what was signed.
  expect(peer).toHaveProperty('roost-source', 'b.example');
  for (const name of Object.keys(FORGED)) expect(client).not.toHaveProperty(name);
  expect(client).toHaveProperty('mine', '1');
});

test('a certificate that a peer shows is told to the gateway, whatever else is claimed', async () => {
  const { cert, key } = neighbourhood.of('b.example');
  const shown = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  const { address } = neighbourhood.of(DOMAIN);
  const door = { address: `${address}:${neighbourhood.port}`, ca: neighbourhood.ca, name: DOMAIN };
  using asker = new Asker({ ...door, ...shown });
  expect((await asker.ask('gRPC', { path: CALL, headers: FORGED })).said).toBe('OK');
  const told = reached[0]?.headers['x-forwarded-client-cert'];
  const certificate = `Cert="${encodeURIComponent(shown.cert)}"`;
  expect(told).toMatch(/^Hash=[0-9a-f]{64};Cert="[^"]+"$/);
  expect(String(told).split(';')[1]).toBe(certificate);
});

test('TLS 1.3 is spoken, and nothing older', async () => {
  const { address } = neighbourhood.of(DOMAIN);
  const { port, ca } = neighbourhood;
  const speak = async (version: 'TLSv1.2' | 'TLSv1.3'): Promise<string> => {
    const versions = { minVersion: version, maxVersion: version };
    const options: ConnectionOptions = { host: address, port, ca, servername: DOMAIN, ...versions };
    const socket = connect(options);
    try {
      await once(socket, 'secureConnect');
      return socket.getProtocol() ?? '';
    } catch (error) {
      return String(error);
    } finally {
      socket.destroy();
    }
  };
  expect(await speak('TLSv1.3')).toBe('TLSv1.3');
  expect(await speak('TLSv1.2')).toMatch(/alert|version/i);
});

test('who we are stands at the well-known address of both doors, for whoever reads it', async () => {
  const { address } = neighbourhood.of(DOMAIN);
  const [host = '', port = ''] = edge.address.split(':');
  const doors = [
    { host: address, port: neighbourhood.port, ca: neighbourhood.ca, servername: DOMAIN },
    { host, port: Number(port), ca: edge.ca, servername: 'localhost' },
  ];
  for (const door of doors) {
    const ask = async (path: string, method = 'GET') => {
      const asked = get({ ...door, path, method, agent: false, headers: { cookie: 'mine' } });
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      const { statusCode, headers } = answer;
      return [statusCode, headers['content-type'], await textOf(answer)];
    };
    expect(await ask(PAGE)).toEqual([200, 'application/json', '{"directory":"AAAA"}']);
    expect(await ask(PAGE, 'HEAD')).toEqual([200, 'application/json', '']);
    expect((await ask(PAGE, 'POST'))[0]).toBe(404);
    expect((await ask(`${PAGE}/x`))[0]).toBe(404);
  }
});

test('one address may ask for so much and no more', async () => {
  const heard = new Set<string>();
  for (let round = 0; round < 50 && !heard.has('RATE_LIMITED'); round++) {
    const asked = Array.from({ length: 20 }, async () => await peers.ask('gRPC', { path: CALL }));
    for (const { said } of await Promise.all(asked)) heard.add(said);
  }
  expect(heard).toEqual(new Set(['OK', 'RATE_LIMITED']));
});
