// The spoof matrix, over TLS, by every method that other homeservers reach: what they are is not listed here but
// in the table of all rules. Each row: what the other side hears, what is counted, what is kept, what is asked.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MINUTE_MS } from '@roost/core/time';
import { PeerServiceDefinition } from '@roost/proto/roost/federation/v1/peer';
import { startCounting } from './counted.fixture.ts';
import { Hostile, Line } from './hostile.fixture.ts';
import { makeCertificate } from './certificates.fixture.ts';
import { freePort, House } from './house.fixture.ts';
import { honest, type Parties, refusalOf, SPOOFS } from './spoofs.ts';
import { type Way, WAYS } from './ways.ts';

const ENVELOPES = 'roost_federation_envelopes_total';
const stack = new AsyncDisposableStack();
let counting: ReturnType<typeof startCounting>;
let a: Hostile;
let c: Hostile;
let b: House;
const begun = Date.now();
let line: Line;
let parties: Parties;

beforeAll(async () => {
  counting = stack.use(startCounting());
  const wellKnownPort = await freePort('127.0.0.2');
  const at = (domain: string, address: string) => ({ domain, address, wellKnownPort });
  a = stack.use(await Hostile.open(at('a.example', '127.0.0.2')));
  c = stack.use(await Hostile.open(at('c.example', '127.0.0.4')));
  const certificate = makeCertificate({ commonName: 'b.example', names: 'DNS:b.example' });
  const names = new Map([
    ['a.example', ['127.0.0.2']],
    ['c.example', ['127.0.0.4']],
  ]);
  b = stack.use(
    await House.open({
      ...{ ...at('b.example', '127.0.0.3'), certificate, names },
      ca: [a, c].map((each) => each.certificate.cert),
    }),
  );
  for (const domain of ['a.example', 'c.example']) await b.list(domain, 'allowed');
  line = stack.use(new Line(b, { ca: certificate.cert }));
  parties = { source: 'a.example', destination: 'b.example', a, c: 'c.example' };
});
afterAll(async () => await stack.disposeAsync());

async function say(way: Way, { envelope, payload }: ReturnType<typeof honest>): Promise<string> {
  if (way.kind === 'call') return await line.call(envelope, payload);
  const [said] = await line.deliver({ envelope, payload });
  return said ?? 'nothing';
}

/** Tables that have changed, but for the tables of what is known of a peer. */
async function changed(work: () => Promise<void>): Promise<string[]> {
  const before = await b.dump();
  await work();
  const after = await b.dump();
  // Its directory is read anew where an envelope names a key that is not known.
  const tables = [...after].filter(([name]) => name !== 'federation.peers');
  return tables.flatMap(([name, rows]) => (before.get(name) === rows ? [] : [name]));
}

/** Which methods that travel were asked of its services meanwhile. */
async function reachedBy(work: () => Promise<void>): Promise<string[]> {
  const counted = Object.keys(await counting.during('roost_rpc_calls_total', work));
  const methods = WAYS.filter(({ kind }) => kind === 'call').map(({ method }) => method);
  return methods
    .filter((method) => counted.some((labels) => labels.includes(`"${method.slice(1)}"`)))
    .toSorted();
}

/** What is said of an envelope that is none, or not of whom it says. */
const REFUSED = /ENVELOPE|FEDERATION|REPLAY|SKEW/;
const RECORD = ['audit', 'audit_chains', 'seen'].map((name) => `federation.${name}`);

test('every way in is tried, and each of them is one', async () => {
  expect(Object.keys(PeerServiceDefinition.methods)).toEqual(['call', 'deliver']);
  expect(WAYS.length).toBeGreaterThan(20);
  expect(SPOOFS).toHaveLength(24);
  // What is said as it should be gets through: so the refusals below are of what is wrong with it.
  let counted = {};
  const reached = await reachedBy(async () => {
    counted = await counting.during(ENVELOPES, async () => {
      for (const way of WAYS) {
        const said = await say(way, honest(way, parties, a));
        expect([way.name, said]).not.toEqual([way.name, expect.stringMatching(REFUSED)]);
      }
    });
  });
  expect(counted).toMatchObject({ 'kind="group",outcome="accepted"': 1 });
  const calls = WAYS.filter(({ kind }) => kind === 'call');
  expect(reached).toEqual(calls.map(({ method }) => method).toSorted());
  for (const way of WAYS) {
    const said = await say(way, honest(way, { ...parties, source: c.domain }, c));
    expect([way.name, said]).not.toEqual([way.name, expect.stringMatching(REFUSED)]);
  }
});

test.each(SPOOFS.map((spoof) => [spoof.name, spoof] as const))('%s', async (_, spoof) => {
  const ways = WAYS.filter(spoof.by ?? (() => true));
  const made = ways.map((way) => [way, spoof.make(way, parties)] as const);
  if (spoof.isLast === true) {
    for (const [way, all] of made) for (const each of all.slice(0, -1)) await say(way, each);
  }
  const tried = made.flatMap(([way, all]) =>
    all.slice(spoof.isLast === true ? -1 : 0).map((each) => [way, each] as const),
  );
  const signed = b.signed();
  const heard: [string, string][] = [];
  let [tables, counted]: [string[], Record<string, number>] = [[], {}];
  const reached = await reachedBy(async () => {
    counted = await counting.during(ENVELOPES, async () => {
      tables = await changed(async () => {
        for (const [way, each] of tried) heard.push([way.name, await say(way, each)]);
      });
    });
  });
  const wanted = tried.map(([way]) => [way, refusalOf(way, spoof)] as const);
  expect(heard).toEqual(wanted.map(([way, { reason }]) => [way.name, reason]));
  const counts: Record<string, number> = {};
  for (const [{ kind }, { reason, flaw }] of wanted) {
    const label = `kind="${kind}",outcome="${[reason, flaw].filter(Boolean).join(' ')}"`;
    counts[label] = (counts[label] ?? 0) + 1;
  }
  expect(counted).toEqual(counts);
  // Where the signature holds the envelope is kept: whoever said this cannot deny it.
  expect(tables.filter((name) => spoof.isRecorded !== true || !RECORD.includes(name))).toEqual([]);
  expect({ reached, signed: b.signed() }).toEqual({ reached: [], signed });
});

test('of all this its directory was read once, and again once a minute at most', async () => {
  expect(a.asked).toBeLessThanOrEqual(1 + Math.ceil((Date.now() - begun) / MINUTE_MS));
  expect(c.asked).toBeLessThanOrEqual(a.asked);
  expect(new Set(b.looked)).toEqual(new Set(['a.example', 'c.example']));
  expect(b.looked).toHaveLength(a.asked + c.asked);
});
