// Homeservers that are let in and mean harm, or are broken: each is refused with its reason, which is counted; nothing
// is stored of what it said, and nothing is fetched twice.
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { type DiscoveryFlaw, isPassing } from '@roost/federation-gateway/discovery/unreachable';
import { FindUserRequest } from '@roost/proto/roost/authentication/v1/authentication';
import { type Certificate, makeCertificate } from './certificates.fixture.ts';
import { startCounting } from './counted.fixture.ts';
import { heard, Hostile, type HostileOptions, Line } from './hostile.fixture.ts';
import { freePort, House } from './house.fixture.ts';
import { sealed } from './spoofs.ts';
import { WAYS } from './ways.ts';

const SEARCHES = 'roost_federation_searches_total';
const ENVELOPES = 'roost_federation_envelopes_total';
const B = 'b.example';
const DELIVERY = WAYS.filter(({ kind }) => kind === 'group');
const [way] = DELIVERY;
const stack = new AsyncDisposableStack();
const names = new Map<string, readonly string[] | (() => readonly string[])>();
const authorities: string[] = [];
let counting: ReturnType<typeof startCounting>;
let b: House;
let good: Hostile;
let own: Certificate;
let wellKnownPort: number;

/** What stands at a well-known address, and why it is not believed. */
interface Trap {
  readonly domain: string;
  readonly name: string;
  readonly flaw: DiscoveryFlaw;
  readonly is?: Partial<HostileOptions>;
  /** Subject alternative names; those of its domain where nothing is said, none where it is ''. */
  readonly names?: string;
  readonly days?: number;
  readonly isUnknown?: true;
  readonly leadsTo?: readonly string[];
  /** It is not there. */
  readonly isAway?: true;
}

/** Bytes that were sent by those that never end. */
let poured = 0;
const ANSWERS = { 'content-type': 'application/json' };
const pour = (response: ServerResponse): void => {
  const chunk = Buffer.alloc(16_384, ' ');
  const more = (): void => {
    while (!response.destroyed && poured < TEN_GIGABYTES) {
      poured += chunk.length;
      if (!response.write(chunk)) return void response.once('drain', more);
    }
  };
  more();
};
const TEN_GIGABYTES = 10 * 2 ** 30;
const METADATA = 'http://169.254.169.254/latest/meta-data/';

const TRAPS: readonly Trap[] = [
  {
    ...{ domain: 'huge.example', name: 'a directory of 10 GB', flaw: 'size' },
    is: { answers: (_, response) => pour(response.writeHead(200, ANSWERS)) },
  },
  {
    ...{ domain: 'says-huge.example', name: 'one that says that it has 10 GB', flaw: 'size' },
    is: {
      answers: (_, response) =>
        pour(response.writeHead(200, { ...ANSWERS, 'content-length': TEN_GIGABYTES })),
    },
  },
  {
    ...{ domain: 'drip.example', name: 'a directory that comes byte by byte', flaw: 'time' },
    is: {
      answers: (_, response) => {
        response.writeHead(200, ANSWERS);
        const timer = setInterval(() => void response.write(' '), 100);
        response.once('close', () => clearInterval(timer));
      },
    },
  },
  {
    ...{ domain: 'redirect.example', name: 'a redirect to a metadata address', flaw: 'redirect' },
    is: { answers: (_, response) => response.writeHead(302, { location: METADATA }).end() },
  },
  {
    ...{ domain: 'page.example', name: 'a page instead of a directory', flaw: 'type' },
    is: {
      answers: (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(),
    },
  },
  {
    ...{ domain: 'packed.example', name: 'one that is compressed', flaw: 'type' },
    is: {
      answers: (_, response) =>
        response.writeHead(200, { ...ANSWERS, 'content-encoding': 'gzip' }).end(),
    },
  },
  {
    ...{ domain: 'garbage.example', name: 'JSON that is no directory', flaw: 'document' },
    is: { answers: (_, response) => response.writeHead(200, ANSWERS).end('{"directory":"AAAA"}') },
  },
  {
    ...{ domain: 'other.example', name: 'the directory of another', flaw: 'document' },
    is: { says: { domain: parseDomain('good.example') } },
  },
  {
    ...{ domain: 'endless.example', name: 'a serial beyond all counting', flaw: 'document' },
    is: { says: { serial: 2n ** 64n - 1n } },
  },
  {
    ...{ domain: 'old-tls.example', name: 'TLS 1.2', flaw: 'connection' },
    is: { maxVersion: 'TLSv1.2' },
  },
  {
    ...{ domain: 'wild.example', name: 'a wildcard certificate', flaw: 'certificate' },
    names: 'DNS:*.example',
  },
  {
    ...{ domain: 'common.example', name: 'a certificate with a common name alone' },
    ...{ flaw: 'certificate', names: '' },
  },
  {
    ...{ domain: 'uri.example', name: 'its domain in a URI of the certificate' },
    ...{ flaw: 'certificate', names: 'URI:https://uri.example' },
  },
  {
    ...{ domain: 'ended.example', name: 'a certificate that has ended', flaw: 'certificate' },
    days: -1,
  },
  {
    ...{ domain: 'wrong.example', name: 'the certificate of another', flaw: 'certificate' },
    names: 'DNS:good.example',
  },
  {
    ...{ domain: 'unknown.example', name: 'a certificate that nobody vouches for' },
    ...{ flaw: 'certificate', isUnknown: true },
  },
  {
    ...{ domain: 'metadata.example', name: 'a name of a metadata address', flaw: 'address' },
    leadsTo: ['169.254.169.254'],
  },
  {
    ...{ domain: 'inside.example', name: 'a name of an inner address in the form of an outer one' },
    ...{ flaw: 'address', leadsTo: ['::ffff:10.0.0.1'] },
  },
  {
    ...{ domain: 'both.example', name: 'a name that leads inside too', flaw: 'address' },
    leadsTo: ['127.0.0.99', '10.0.0.1'],
  },
  { domain: 'nowhere.example', name: 'a name without addresses', flaw: 'name', leadsTo: [] },
  { domain: 'away.example', name: 'nobody there', flaw: 'connection', isAway: true },
];

const addressOf = (trap: Trap): string => `127.0.1.${TRAPS.indexOf(trap) + 1}`;
const certificateOf = ({ domain, names: written = `DNS:${domain}`, days }: Trap): Certificate =>
  makeCertificate({
    commonName: domain,
    ...(written === '' ? {} : { names: written }),
    ...(days === undefined ? {} : { days }),
  });
const turning = makeCertificate({ commonName: 'turns.example', names: 'DNS:turns.example' });
const traps = new Map(TRAPS.map((trap) => [trap, certificateOf(trap)]));

beforeAll(async () => {
  counting = stack.use(startCounting());
  wellKnownPort = await freePort('127.0.0.2');
  good = stack.use(
    await Hostile.open({ domain: 'good.example', address: '127.0.0.2', wellKnownPort }),
  );
  names.set('good.example', ['127.0.0.2']);
  own = makeCertificate({ commonName: B, names: `DNS:${B}` });
  for (const [trap, { cert }] of traps) {
    if (trap.isUnknown !== true) authorities.push(cert);
    names.set(trap.domain, trap.leadsTo ?? [addressOf(trap)]);
  }
  const place = { domain: B, address: '127.0.0.3', wellKnownPort, names };
  authorities.push(good.certificate.cert, turning.cert);
  b = stack.use(await House.open({ ...place, ca: authorities, certificate: own }));
  for (const domain of ['good.example', ...TRAPS.map((trap) => trap.domain)]) {
    await b.list(domain, 'allowed');
  }
});
afterAll(async () => await stack.disposeAsync());

const said = (source: string, { keys } = good) => {
  if (way === undefined) throw new Error('there is a way to deliver');
  return sealed(way.say({ source, destination: B }), keys.current);
};

test.each(TRAPS.map((trap) => [trap.name, trap] as const))(
  'who is looked for and shows %s is not found, and not looked for again',
  async (_, trap) => {
    const { domain, is, flaw } = trap;
    const certificate = traps.get(trap);
    const place = { domain, address: addressOf(trap), wellKnownPort };
    await using hostile =
      trap.isAway === true || certificate === undefined || trap.leadsTo !== undefined
        ? undefined
        : await Hostile.open({ ...place, ...is, certificate });
    using from = new Line(b, { ca: own.cert, claims: domain });
    const keys = hostile ?? good;
    const before = await b.dump();
    const [lookedBefore, pouredBefore] = [b.looked.length, poured];
    const begunMs = Date.now();
    const counted = await counting.during(SEARCHES, async () => {
      const all = await Promise.all(
        [1, 2, 3].map(async () => await from.deliver(said(domain, keys))),
      );
      expect(all.flat()).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE']);
      expect(await from.deliver(said(domain, keys))).toEqual(['UNAVAILABLE']);
    });
    // One that is only late or away is looked for again after five seconds: a machine may be as slow.
    const isSlow = isPassing(flaw) && Date.now() - begunMs > (flaw === 'time' ? 9_000 : 4_000);
    const looked = b.looked.slice(lookedBefore);
    expect(looked).toEqual(isSlow && looked.length > 1 ? [domain, domain] : [domain]);
    expect(counted).toEqual({ [`outcome="UNREACHABLE ${flaw}"`]: looked.length });
    expect(hostile?.asked ?? 0).toBeLessThanOrEqual(looked.length);
    expect(await b.dump()).toEqual(before);
    // What was sent lay in the buffers of the two machines.
    expect(poured - pouredBefore).toBeLessThan(32 * 2 ** 20);
  },
);

test('who is not let in is not looked for', async () => {
  const place = { domain: 'unlisted.example', address: '127.0.0.9', wellKnownPort };
  await using stranger = await Hostile.open(place);
  names.set('unlisted.example', ['127.0.0.9']);
  using from = new Line(b, { ca: own.cert });
  const before = [b.looked.length, await b.dump()];
  const counted = await counting.during(ENVELOPES, async () => {
    for (let n = 0; n < 10; n++) {
      expect(await from.deliver(said('unlisted.example', stranger))).toEqual(['FEDERATION_DENIED']);
    }
  });
  expect(counted).toEqual({ 'kind="group",outcome="FEDERATION_DENIED"': 10 });
  expect([b.looked.length, await b.dump()]).toEqual(before);
  expect(stranger.asked).toBe(0);
});

test('a name that leads inside at the second look is not connected to', async () => {
  const answers = [['127.0.0.8'], ['10.0.0.1']];
  names.set('turns.example', () => answers.shift() ?? ['10.0.0.1']);
  const place = {
    domain: 'turns.example',
    address: '127.0.0.8',
    wellKnownPort,
    certificate: turning,
  };
  const endpoint = { host: 'turns.example', port: wellKnownPort };
  await using turns = await Hostile.open({ ...place, says: { endpoint } });
  const lookedBefore = b.looked.length;
  await b.list('turns.example', 'allowed');
  const request = FindUserRequest.encode({ userName: 'bob@turns.example' }).finish();
  const method = '/roost.authentication.v1.AuthenticationService/FindUser';
  const call = { destination: 'turns.example', method, request, proof: new Uint8Array(0) };
  const counted = await counting.during('roost_federation_forwarded_total', async () => {
    expect(await heard(b.forward(call))).toBe('UNAVAILABLE');
  });
  expect(counted).toEqual({ 'outcome="UNREACHABLE address"': 1 });
  expect([turns.asked, b.looked.slice(lookedBefore)]).toEqual([
    1,
    ['turns.example', 'turns.example'],
  ]);
});
