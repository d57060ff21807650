import { expect, test } from '@jest/globals';
import { concat } from '@roost/core/bytes';
import { parseDomain } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import fc from 'fast-check';

import { authorityOf, clientOf, home, now } from './actors.fixture.ts';
import { readAsRoot, readAuthority, verifyAsIntermediate } from './authority.ts';
import {
  issueClientCredential,
  readClientCredential,
  readClientCredentialRequest,
  verifyClientCredential,
  verifyNameBinding,
} from './credentials.ts';
import { damaged, forging, relabelling } from './tampering.fixture.ts';

const domain = authorityOf();
const alice = clientOf(domain);

const verify = (bytes: Uint8Array, { authority } = domain, at = now) =>
  verifyClientCredential(crypto, bytes, authority, at);
const verifyName = (bytes: Uint8Array, { authority } = domain, at = now) =>
  verifyNameBinding(crypto, bytes, authority, at);
const refusal = expect.objectContaining({
  name: 'Failure',
  reason: expect.stringMatching(/^(MALFORMED|UNAUTHENTICATED)$/),
});

test('a client credential verifies up to the root, and says what was asked for', () => {
  expect(verify(alice.clientCredential)).toEqual({
    standing: 'valid',
    credential: {
      clientId: alice.clientId,
      publicKey: alice.key.publicKey,
      recoveryKeyHash: alice.recoveryKeyHash,
      notBefore: now,
      notAfter: now + 90 * DAY_MS,
    },
  });
  expect(readClientCredential(alice.clientCredential).clientId).toEqual(alice.clientId);
});

test('a name binding verifies up to the root', () => {
  const { binding, standing } = verifyName(alice.nameBinding);
  expect(standing).toBe('valid');
  expect(binding.userName).toEqual({ name: 'alice', domain: home });
  expect(binding.userId).toEqual(alice.clientId.user);
});

test('what has expired, is early or is revoked is told apart from what is forged', () => {
  const days = (count: number) => now + count * DAY_MS;
  for (const standing of [verify, verifyName].map(
    (each) => (at: number) =>
      each(each === verify ? alice.clientCredential : alice.nameBinding, domain, at).standing,
  )) {
    expect(standing(days(90))).toBe('valid');
    expect(standing(days(90) + 1)).toBe('expired');
    expect(standing(now - 5 * 60_000)).toBe('valid');
    expect(standing(now - 5 * 60_000 - 1)).toBe('early');
  }
  const revoked = (bytes: Uint8Array) =>
    readAuthority(crypto, home, { ...domain.published, revoked: [crypto.sha256(bytes)] });
  expect(
    verify(alice.clientCredential, { ...domain, authority: revoked(alice.clientCredential) }),
  ).toMatchObject({ standing: 'revoked' });
  expect(
    verify(alice.clientCredential, { ...domain, authority: revoked(domain.intermediate) }),
  ).toMatchObject({ standing: 'revoked' });
  expect(
    verify(clientOf(domain).clientCredential, {
      ...domain,
      authority: revoked(alice.clientCredential),
    }),
  ).toMatchObject({ standing: 'valid' });
});

test('every changed bit of a credential or binding is refused', () => {
  for (const bytes of damaged(alice.clientCredential)) expect(() => verify(bytes)).toThrow(refusal);
  for (const bytes of damaged(alice.nameBinding)) expect(() => verifyName(bytes)).toThrow(refusal);
  for (const bytes of damaged(alice.request)) {
    expect(() => readClientCredentialRequest(crypto, bytes)).toThrow(refusal);
  }
  for (const bytes of damaged(domain.root))
    expect(() => readAsRoot(crypto, bytes)).toThrow(refusal);
  for (const bytes of damaged(domain.intermediate)) {
    expect(() => verifyAsIntermediate(crypto, bytes, domain.authority.roots)).toThrow(refusal);
  }
});

test.each(['AsRoot', 'AsIntermediate', 'AsIntermediateSelf'])(
  'a domain whose %s is signed under another label or key has no keys',
  (label) => {
    for (const dishonest of [relabelling(label), forging(label)]) {
      const { authority } = authorityOf(home, dishonest);
      expect(authority.intermediates.size).toBe(0);
    }
  },
);

test.each(['ClientCredential', 'NameBinding'])(
  'a %s that is signed under another label or by another key is refused',
  (label) => {
    for (const dishonest of [relabelling(label), forging(label)]) {
      const { clientCredential, nameBinding } = clientOf(domain, 'mallory', { crypto: dishonest });
      const bytes = label === 'NameBinding' ? nameBinding : clientCredential;
      const check = label === 'NameBinding' ? verifyName : verify;
      expect(() => check(bytes)).toThrow(refusal);
    }
  },
);

test('a request under another label or by another key is not issued for', () => {
  for (const dishonest of [
    relabelling('ClientCredentialRequest'),
    forging('ClientCredentialRequest'),
  ]) {
    expect(() => clientOf(domain, 'mallory', { crypto: dishonest })).toThrow(refusal);
  }
});

test('a credential of another domain, or of a domain that lies about its name, is refused', () => {
  const other = authorityOf(parseDomain('other.example'));
  expect(() => verify(clientOf(other).clientCredential)).toThrow(refusal);
  const liar = { ...other, issuer: { ...other.issuer, domain: home } };
  const lie = clientOf(liar);
  expect(() => verify(lie.clientCredential, other)).toThrow('its domain is another');
  expect(() => verifyName(lie.nameBinding, other)).toThrow('its domain is another');
});

test('keys of another domain are not taken for ours', () => {
  const other = authorityOf(parseDomain('other.example'));
  const { roots, intermediates } = readAuthority(crypto, home, other.published);
  expect([roots.size, intermediates.size]).toEqual([0, 0]);
});

test('an intermediate of a root that is not published is left out', () => {
  const published = { ...domain.published, roots: [authorityOf().root] };
  expect(readAuthority(crypto, home, published).intermediates.size).toBe(0);
});

test('validity is cut to the issuer, and what outlives its issuer is refused', () => {
  const long = clientOf(domain, 'alice', { days: 9_000 });
  expect(verify(long.clientCredential).credential.notAfter).toBe(domain.issuer.notAfter);
  const careless = { ...domain, issuer: { ...domain.issuer, notAfter: now + 9_999 * DAY_MS } };
  const tooLong = clientOf(careless, 'alice', { days: 9_000 });
  expect(() => verify(tooLong.clientCredential)).toThrow('outside the time of its issuer');
});

test('a credential cannot be issued for a request that it does not hold', () => {
  const bob = clientOf(domain, 'bob');
  const request = concat(bob.request);
  const issued = issueClientCredential(crypto, domain.issuer, {
    request,
    clientId: alice.clientId,
    notBefore: now,
    notAfter: now + DAY_MS,
  });
  // Alice's request in front of what was issued for Bob's: one signature covers both.
  const spliced = Uint8Array.from(issued);
  spliced.set(alice.request, 2);
  expect(() => verify(spliced)).toThrow(refusal);
});

test('arbitrary bytes are malformed everywhere', () => {
  const readers = [
    (bytes: Uint8Array) => verify(bytes),
    (bytes: Uint8Array) => verifyName(bytes),
    (bytes: Uint8Array) => readAsRoot(crypto, bytes),
    (bytes: Uint8Array) => readClientCredentialRequest(crypto, bytes),
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...readers), (bytes, read) => {
      expect(() => read(bytes)).toThrow(expect.objectContaining({ reason: 'MALFORMED' }));
    }),
  );
});
