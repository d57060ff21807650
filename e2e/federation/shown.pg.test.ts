// What homeservers show of themselves on a connection: one that is of another is refused before what it says is read,
// whatever is signed.
import { createHash, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Certificate, makeCertificate } from './certificates.fixture.ts';
import { startCounting } from './counted.fixture.ts';
import { Hostile, Line } from './hostile.fixture.ts';
import { freePort, House } from './house.fixture.ts';
import { SHOWN, type Shown } from './shown.ts';
import { honest } from './spoofs.ts';
import { WAYS } from './ways.ts';

/** What is shown is looked at before it is known which method is called: one of each kind tells. */
const TRIED = [
  WAYS.find(({ kind }) => kind === 'call'),
  ...WAYS.filter(({ kind }) => kind === 'group'),
];
const MODES = ['preferred', 'required'] as const;
type Mode = (typeof MODES)[number];
const BETWEEN = { source: 'a.example', destination: 'b.example' };
const stack = new AsyncDisposableStack();
const houses = new Map<Mode, House>();
const pinned = makeCertificate({ commonName: 'a.example', names: 'DNS:a.example' });
const own = makeCertificate({ commonName: 'b.example', names: 'DNS:b.example' });
let counting: ReturnType<typeof startCounting>;
let a: Hostile;

beforeAll(async () => {
  counting = stack.use(startCounting());
  const wellKnownPort = await freePort('127.0.0.2');
  const spki = new X509Certificate(pinned.cert).publicKey.export({ type: 'spki', format: 'der' });
  const pins = [Uint8Array.from(createHash('sha256').update(spki).digest())];
  const place = { domain: 'a.example', address: '127.0.0.2', wellKnownPort, says: { pins } };
  a = stack.use(await Hostile.open(place));
  const names = new Map([['a.example', ['127.0.0.2']]]);
  for (const mtls of MODES) {
    const at = { domain: 'b.example', address: '127.0.0.3', wellKnownPort, names, mtls };
    const house = await House.open({ ...at, ca: [a.certificate.cert], certificate: own });
    for (const domain of ['a.example', 'c.example']) await house.list(domain, 'allowed');
    houses.set(mtls, stack.use(house));
  }
});
afterAll(async () => await stack.disposeAsync());

function certificateOf({ names, days, isPinned }: Shown): Certificate | undefined {
  if (isPinned === true) return pinned;
  if (names === undefined) return undefined;
  const written = names === '' ? {} : { names };
  return makeCertificate({
    commonName: 'a.example',
    ...written,
    ...(days === undefined ? {} : { days }),
  });
}

test.each(MODES.flatMap((mode) => SHOWN.map((shown) => [shown.name, mode, shown] as const)))(
  'who shows %s, where certificates are %s',
  async (_, mode, shown) => {
    const [house, certificate] = [houses.get(mode), certificateOf(shown)];
    if (house === undefined) throw new Error('there is one for each mode');
    const { claims = 'a.example' } = shown;
    const line = { ca: own.cert, ...(certificate === undefined ? {} : { shows: certificate }) };
    using unclaimed = new Line(house, line);
    using claimed = new Line(house, { ...line, claims });
    const before = await house.dump();
    const counted = await counting.during('roost_federation_envelopes_total', async () => {
      for (const way of TRIED.filter((each) => each !== undefined)) {
        for (const by of claims === 'a.example' ? [unclaimed, claimed] : [claimed]) {
          const { envelope, payload } = honest(way, BETWEEN, a);
          const heard =
            way.kind === 'call'
              ? await by.call(envelope, payload)
              : await by.deliver({ envelope, payload }).then(([said]) => said, reasonOf);
          const isLetIn = shown[mode] === 'answered';
          expect([way.name, heard === 'BAD_ENVELOPE']).toEqual([way.name, !isLetIn]);
        }
      }
    });
    const outcomes = Object.keys(counted).map((labels) =>
      labels.replace(/.*outcome="([^"]*)".*/, '$1'),
    );
    if (shown[mode] === 'answered') expect(outcomes).toContain('accepted');
    else {
      expect(new Set(outcomes)).toEqual(new Set([shown[mode]]));
      expect(await house.dump()).toEqual(before);
    }
  },
);

function reasonOf(error: unknown): string {
  return error instanceof Error && 'reason' in error ? String(error.reason) : String(error);
}
