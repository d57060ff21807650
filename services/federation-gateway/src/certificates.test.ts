import { X509Certificate } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { BadEnvelope } from '@roost/federation/envelope';

import { Certificates, type MutualMode, pinsOf, Shown } from './certificates.ts';
import { makeAuthority, makeCertificate } from './discovery/certificates.fixture.ts';

const domain = parseDomain('a.example');
const made = makeCertificate('A', `DNS:${domain}`);
const own = new X509Certificate(made.cert);
const pins = pinsOf(made);
const named = (names?: string, commonName = 'x') =>
  new X509Certificate(makeCertificate(commonName, names).cert);

function judge(mode: MutualMode, { authorities = '', laterMs = 0 } = {}) {
  const clock = { now: () => Date.now() + laterMs };
  return (shown: X509Certificate | undefined, given = pins): boolean | string => {
    try {
      return new Certificates(mode, authorities, clock).isEnough(shown, { domain, pins: given });
    } catch (error) {
      if (error instanceof BadEnvelope) return error.flaw;
      throw error;
    }
  };
}

test.each([
  ['of another domain', named('DNS:b.example')],
  ['of a wildcard', named('DNS:*.example')],
  ['that names it by its common name alone', named(undefined, 'a.example')],
  ['that names it as a URI', named('URI:https://a.example')],
  ['of a name under it', named('DNS:federation.a.example')],
])('a certificate %s speaks for nobody', (_, shown) => {
  for (const mode of ['preferred', 'required'] as const) {
    expect(judge(mode)(shown, pinsOf({ cert: shown.toString() }))).toBe('certificate');
  }
  expect(judge('off')(shown)).toBe(true);
});

test('where one is required it has to be there, pinned, and of now', () => {
  const required = judge('required');
  expect(required(own)).toBe(true);
  expect(required(undefined)).toBe('certificate');
  expect(required(own, [])).toBe(false);
  expect(required(named(`DNS:${domain}`))).toBe(false);
  expect(judge('required', { laterMs: 31 * DAY_MS })(own)).toBe(false);
  expect(judge('required', { laterMs: -DAY_MS })(own)).toBe(false);
});

test('where one is preferred, what nobody vouches for counts as not shown', () => {
  const preferred = judge('preferred');
  expect(preferred(undefined)).toBe(true);
  expect(preferred(named(`DNS:${domain}`))).toBe(true);
});

test('an authority of the operator’s vouches, for clients; another of the same name does not', () => {
  const [authority, other] = [makeAuthority('CA'), makeAuthority('CA')];
  const issued = authority.issue(`DNS:${domain}`);
  const forServers = authority.issue(`DNS:${domain}`, 'serverAuth');
  const required = judge('required', { authorities: `${other.cert}\n${authority.cert}` });
  expect(required(new X509Certificate(issued), [])).toBe(true);
  expect(required(new X509Certificate(forServers), [])).toBe(false);
  expect(required(new X509Certificate(makeAuthority('CA').issue(`DNS:${domain}`)), [])).toBe(false);
  // A certificate that is no authority's signs for nobody.
  const none = makeAuthority('CA', 'critical,CA:FALSE');
  const by = new X509Certificate(none.issue(`DNS:${domain}`));
  expect(judge('required', { authorities: none.cert })(by, [])).toBe(false);
});

test('what is renewed is shown, and published beside what was shown before', async () => {
  const next = makeCertificate('A', `DNS:${domain}`);
  let found: typeof made | undefined = made;
  const shown = new Shown({ certificate: made, reread: async () => found });
  expect([await shown.renew(), shown.pins]).toEqual([false, pins]);
  found = next;
  expect(await shown.renew()).toBe(true);
  expect([shown.certificate, shown.pins]).toEqual([next, [...pinsOf(next), ...pins]]);
  expect(await shown.renew()).toBe(false);
  const none = new Shown({});
  expect([await none.renew(), none.pins]).toEqual([false, []]);
});
