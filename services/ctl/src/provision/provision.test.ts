import { X509Certificate } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { type Clock, DAY_MS } from '@roost/core/time';
import { parsePlan, type Plan } from './plan.ts';
import { provision } from './provision.ts';
import { kubernetesVault } from './vault.ts';

interface Stored {
  data: Record<string, string>;
  version: number;
  type: string;
  labels: Record<string, string>;
}

// What the API server does with Secrets, as far as it concerns us; a real one is asked in `npm run cluster`.
const secrets = new Map<string, Stored>();
let version = 0;
const asked: string[] = [];
const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const name = (request.url ?? '').split('/secrets')[1]?.slice(1) ?? '';
  asked.push(`${request.method} ${name}`);
  const end = (status: number, body: unknown = {}): void => {
    response.statusCode = status;
    response.end(JSON.stringify(body));
  };
  if (request.headers.authorization !== 'Bearer t0ken') return end(401);
  const found = secrets.get(name);
  if (request.method === 'GET') {
    if (found === undefined) return end(404);
    const metadata = { resourceVersion: String(found.version) };
    return end(200, { data: found.data, metadata });
  }
  const given: {
    metadata: { name: string; resourceVersion?: string; labels: Record<string, string> };
    type: string;
    stringData: Record<string, string>;
  } = JSON.parse(Buffer.concat(chunks).toString());
  const key = given.metadata.name;
  if (request.method === 'POST' && secrets.has(key)) return end(409);
  if (request.method === 'PUT' && given.metadata.resourceVersion !== String(found?.version)) {
    return end(409);
  }
  const data = Object.fromEntries(
    Object.entries(given.stringData).map(([each, plain]) => [
      each,
      Buffer.from(plain).toString('base64'),
    ]),
  );
  const { labels } = given.metadata;
  secrets.set(key, { data, version: ++version, type: given.type, labels });
  return end(201);
}
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
const address = server.address();
const api = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
const folder = mkdtempSync(join(tmpdir(), 'roost-account-'));
writeFileSync(join(folder, 'token'), 't0ken\n');
writeFileSync(join(folder, 'namespace'), 'chat');
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  secrets.clear();
  asked.length = 0;
});

const vault = kubernetesVault({ api, folder });
const at = (ms: number): Clock => ({ now: () => ms });
const now = at(Date.now());
const plan: Plan = parsePlan(
  JSON.stringify({
    domain: 'home.example',
    labels: { 'app.kubernetes.io/part-of': 'roost' },
    keys: [
      { secret: 'roost-key-as', purpose: 'as' },
      { secret: 'roost-key-transport', purpose: 'transport' },
    ],
    credentials: [
      {
        secret: 'roost-database-as',
        fields: { user: 'as', url: 'postgres://as:{password}@db:5432/as' },
      },
    ],
    internal: {
      authority: 'roost-authority',
      days: 90,
      certificates: [
        { secret: 'roost-tls-as', peer: 'as' },
        { secret: 'roost-tls-gate', peer: 'gate' },
      ],
    },
    door: { secret: 'roost-door', names: ['chat.home.example'], days: 90 },
    federationDoor: { secret: 'roost-federation-door', names: ['home.example'], days: 90 },
  }),
);

function text(name: string, key: string): string {
  const value = secrets.get(name)?.data[key];
  expect([name, key, value]).toEqual([name, key, expect.any(String)]);
  return Buffer.from(value ?? '', 'base64').toString();
}

test('everything is made once, and a second time nothing is touched', async () => {
  const done = await provision(plan, vault, now);
  expect(done).toEqual([
    'made roost-key-as',
    'made roost-key-transport',
    'made roost-database-as',
    'made roost-authority',
    'made roost-tls-as',
    'made roost-tls-gate',
    'made roost-door',
    'made roost-federation-door',
  ]);
  expect(text('roost-key-as', 'as')).toMatch(/^[0-9a-f]{64}\n$/);
  expect(text('roost-key-as', 'as')).not.toBe(text('roost-key-transport', 'transport'));
  const password = text('roost-database-as', 'password');
  expect(text('roost-database-as', 'url')).toBe(`postgres://as:${password}@db:5432/as`);
  expect(secrets.get('roost-tls-as')?.type).toBe('kubernetes.io/tls');
  expect(secrets.get('roost-tls-as')?.labels).toEqual(plan.labels);

  const before = structuredClone(secrets);
  asked.length = 0;
  expect(await provision(plan, vault, now)).toEqual([]);
  expect(secrets).toEqual(before);
  expect(asked.filter((each) => !each.startsWith('GET'))).toEqual([]);
});

test('two installations have nothing in common', async () => {
  await provision(plan, vault, now);
  const first = structuredClone(secrets);
  secrets.clear();
  await provision(plan, vault, now);
  for (const [name, { data }] of first) {
    for (const [key, value] of Object.entries(data)) {
      if (key === 'user') continue;
      expect([name, key, secrets.get(name)?.data[key]]).not.toEqual([name, key, value]);
    }
  }
});

test('certificates are signed by the authority, each with its own name, and no service has the key of the authority', async () => {
  await provision(plan, vault, now);
  const ca = new X509Certificate(text('roost-authority', 'ca.crt'));
  for (const peer of ['as', 'gate']) {
    const certificate = new X509Certificate(text(`roost-tls-${peer}`, 'tls.crt'));
    expect(certificate.verify(ca.publicKey)).toBe(true);
    expect(certificate.subjectAltName).toBe(`URI:spiffe://home.example/${peer}`);
  }
  const key = secrets.get('roost-authority')?.data['ca.key'];
  const holders = [...secrets].filter(([, { data }]) => Object.values(data).includes(key ?? ''));
  expect(holders.map(([name]) => name)).toEqual(['roost-authority']);
  const door = new X509Certificate(text('roost-door', 'tls.crt'));
  expect(door.checkHost('chat.home.example')).toBe('chat.home.example');
  // What other homeservers see of the gateway, whether they call it or it calls them.
  const peers = new X509Certificate(text('roost-federation-door', 'tls.crt'));
  expect(peers.checkHost('home.example')).toBe('home.example');
  expect(peers.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
});

test('certificates that are due are renewed by the same authority; keys and passwords stay', async () => {
  await provision(plan, vault, now);
  const before = structuredClone(secrets);
  const done = await provision(plan, vault, at(Date.now() + 50 * DAY_MS));
  expect(done).toEqual([
    ...['renewed roost-tls-as', 'renewed roost-tls-gate'],
    ...['renewed roost-door', 'renewed roost-federation-door'],
  ]);
  for (const name of [
    'roost-key-as',
    'roost-key-transport',
    'roost-database-as',
    'roost-authority',
  ]) {
    expect(secrets.get(name)).toEqual(before.get(name));
  }
  expect(text('roost-tls-as', 'ca.crt')).toBe(text('roost-authority', 'ca.crt'));
});

test('two that start at once agree on one authority and one of each key', async () => {
  await Promise.all([provision(plan, vault, now), provision(plan, vault, now)]);
  const ca = new X509Certificate(text('roost-authority', 'ca.crt'));
  for (const peer of ['as', 'gate']) {
    const certificate = new X509Certificate(text(`roost-tls-${peer}`, 'tls.crt'));
    expect(certificate.verify(ca.publicKey)).toBe(true);
  }
});

test('a key that lost what it held is not made anew', async () => {
  await provision(plan, vault, now);
  const emptied = secrets.get('roost-key-as');
  if (emptied !== undefined) emptied.data = {};
  await expect(provision(plan, vault, now)).rejects.toThrow('restore it from a backup');
});

test('what Kubernetes refuses is told', async () => {
  writeFileSync(join(folder, 'token'), 'another');
  await expect(provision(plan, vault, now)).rejects.toThrow('refused to read roost-key-as: 401');
  writeFileSync(join(folder, 'token'), 't0ken\n');
});

test('a plan that makes no sense is told as such', () => {
  expect(() => parsePlan('{')).toThrow('no JSON');
  expect(() => parsePlan('{"domain":"home.example","more":1}')).toThrow('makes no sense');
});
