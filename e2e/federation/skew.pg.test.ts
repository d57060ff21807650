// Homeservers of different versions, and two that were installed alike.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { type Certificate, makeCertificate } from './certificates.fixture.ts';
import { Hostile, Line } from './hostile.fixture.ts';
import { freePort, House } from './house.fixture.ts';
import { honest } from './spoofs.ts';
import { WAYS } from './ways.ts';

const B = 'b.example';
const stack = new AsyncDisposableStack();
/** By what they speak. */
const SPEAKERS = {
  'ahead.example': { min: 1, max: 2 },
  'far-ahead.example': { min: 2, max: 3 },
  'behind.example': { min: 1, max: 1 },
} as const;
type Name = keyof typeof SPEAKERS;
const peers = new Map<Name, Hostile>();
let b: House;
let own: Certificate;

beforeAll(async () => {
  const wellKnownPort = await freePort('127.0.0.2');
  const names = new Map<string, readonly string[]>();
  for (const [at, domain] of (Object.keys(SPEAKERS) as Name[]).entries()) {
    const address = `127.0.0.${at + 20}`;
    names.set(domain, [address]);
    const says = { protocol: SPEAKERS[domain] };
    peers.set(domain, stack.use(await Hostile.open({ domain, address, wellKnownPort, says })));
  }
  own = makeCertificate({ commonName: B, names: `DNS:${B}` });
  const ca = [...peers.values()].map(({ certificate }) => certificate.cert);
  const place = { address: '127.0.0.3', wellKnownPort, names, ca };
  b = stack.use(await House.open({ ...place, domain: B, certificate: own }));
  for (const domain of peers.keys()) await b.list(domain, 'allowed');
});
afterAll(async () => await stack.disposeAsync());

/** What it hears by each way in. */
async function said(domain: Name): Promise<Set<string>> {
  const peer = peers.get(domain);
  if (peer === undefined) throw new Error('all of them are there');
  using line = new Line(b, { ca: own.cert, claims: domain });
  const reasons = new Set<string>();
  for (const way of WAYS) {
    const each = honest(way, { source: domain, destination: B }, peer);
    if (way.kind === 'call') reasons.add(await line.call(each.envelope, each.payload));
    else for (const reason of await line.deliver(each)) reasons.add(reason);
  }
  return reasons;
}

test('who is one version ahead, or behind, is heard by every way in', async () => {
  for (const domain of ['ahead.example', 'behind.example'] as const) {
    const reasons = [...(await said(domain))];
    expect(reasons).toContain('answered');
    expect(reasons.filter((each) => /FEDERATION|ENVELOPE|UNAVAILABLE/.test(each))).toEqual([]);
  }
});

test('who has no version in common is refused, and both operators read who has to upgrade', async () => {
  expect(await said('far-ahead.example')).toEqual(new Set(['FEDERATION_DENIED']));
  const sentence =
    'b.example speaks federation version 1 and far-ahead.example versions 2 to 3: b.example has to be upgraded';
  const request = FindUserRequest.encode({ userName: 'bob@far-ahead.example' }).finish();
  const method = '/roost.authentication.v1.AuthenticationService/FindUser';
  const call = { destination: 'far-ahead.example', method, request, proof: new Uint8Array(0) };
  await expect(b.forward(call)).rejects.toMatchObject({
    ...{ reason: 'FEDERATION_DENIED', message: sentence },
  });
  const [way] = WAYS;
  const peer = peers.get('far-ahead.example');
  if (way === undefined || peer === undefined) throw new Error('both are there');
  using line = new Line(b, { ca: own.cert, claims: peer.domain });
  const each = honest(way, { source: peer.domain, destination: B }, peer);
  await expect(line.client.call(each)).rejects.toMatchObject({ message: sentence });
});

test('two homeservers have no key in common', async () => {
  const place = { domain: B, address: '127.0.0.4', wellKnownPort: 443, names: new Map(), ca: [] };
  await using other = await House.open(place);
  const keysOf = async (house: House) => {
    const tables = await house.dump();
    const rows = ['federation.keys', 'as.authorities', 'aas.issuer_keys'].map(
      (name) => tables.get(name) ?? '',
    );
    return rows.flatMap((row) => row.match(/\\x[0-9a-f]{64,}/g) ?? []);
  };
  const [mine, theirs] = [await keysOf(b), await keysOf(other)];
  expect(mine.length).toBeGreaterThan(2);
  expect(theirs.length).toBeGreaterThan(2);
  expect(mine.filter((key) => theirs.includes(key))).toEqual([]);
});
