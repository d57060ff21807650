import { expect, test } from '@jest/globals';
import { encode } from '@roost/core/tls';
import { DAY_MS, HOUR_MS } from '@roost/core/time';
import { nodeCrypto as crypto } from '@roost/crypto/node';

import {
  cacheMs,
  parseDirectory,
  printDirectory,
  readDirectory,
  signDirectory,
  type SignedDirectory,
} from './directory.ts';
import { A, B, directoryOf, keyOf, NOW } from './homes.fixture.ts';
import {
  firstKey,
  isRotationDue,
  KEY_MS,
  keyIdOf,
  keyStanding,
  nextKey,
  OVERLAP_MS,
  type OwnKey,
  replacementKey,
  signingKey,
} from './keys.ts';
import { extendTrust, type Trust } from './trust.ts';

const read = (signed: SignedDirectory, before?: Trust, nowMs = signed.directory.createdMs) =>
  extendTrust(crypto, { domain: A, nowMs }, signed, before);
const idsOf = ({ keys }: Trust) => keys.map(({ keyId }) => keyId);
const idOf = (key: OwnKey) => keyIdOf(crypto, key.publicKey);
/** When a directory of these keys is read that many days later, with that serial. */
const later = (keys: readonly OwnKey[], days: number, serial: bigint) =>
  directoryOf(keys, { serial, createdMs: NOW + days * DAY_MS });

const first = keyOf();
const madeAt = [NOW, NOW + 10 * DAY_MS + HOUR_MS, NOW + 80 * DAY_MS] as const;
const second = nextKey(crypto, A, first, madeAt[1]);
const third = nextKey(crypto, A, second, madeAt[2]);
const met = read(directoryOf([first]));

test('at first contact all keys are believed, and they are read as they were written', () => {
  const signed = directoryOf([first, second]);
  expect(signed.directory.keys.map((key) => ({ ...first, ...key }))).toEqual([
    first,
    { ...second, privateKey: first.privateKey },
  ]);
  expect(signed.directory.endpoint).toEqual({ host: 'federation.a.example', port: 8443 });
  expect(idsOf(read(signed))).toEqual([first, second].map(idOf));
});

test('a key is believed that follows from a known one, over two rotations that nobody saw', () => {
  const trust = read(later([first, second, third], 82, 3n), met);
  expect(idsOf(trust)).toEqual([first, second, third].map(idOf));
  expect(trust.serial).toBe(3n);
  // The old ones stay for what they signed, though they are listed no more.
  expect(idsOf(read(later([second, third], 100, 4n), trust))).toHaveLength(3);
});

test('a key that everybody can sign with is believed nowhere, unless it has ended', () => {
  const privateKey = new Uint8Array(32).fill(1);
  const pair = { privateKey, publicKey: crypto.ed25519.publicKey(privateKey) };
  const careless = { ...crypto, ed25519: { ...crypto.ed25519, generate: () => pair } };
  const known = firstKey(careless, A, NOW - 1_000);
  expect(() => read(directoryOf([known]))).toThrow('everybody can sign with');
  const follower = nextKey(careless, A, first, madeAt[1]);
  expect(() => read(later([first, follower], 11, 2n), met)).toThrow('everybody can sign with');
  const ended = { ...follower, revokedAt: madeAt[1] };
  expect(idsOf(read(later([first, ended], 11, 2n), met))).toHaveLength(2);
});

test('a key that follows from none that is known is not, whatever the rest', () => {
  const stranger = keyOf();
  const said = /follows from none that is known/;
  expect(() => read(later([stranger], 1, 2n), met)).toThrow(said);
  expect(() => read(later([first, stranger], 1, 2n), met)).toThrow(said);
  expect(() =>
    read(later([first, { ...second, endorsement: third.endorsement }], 1, 2n), met),
  ).toThrow(said);
  // Endorsed by the right key for another domain.
  const astray = nextKey(crypto, B, first, NOW);
  expect(() => read(later([first, astray], 1, 2n), met)).toThrow(said);
  // Its times are not what was endorsed.
  const longer = { ...second, notAfter: second.notAfter + 1 };
  expect(() => read(later([first, longer], 1, 2n), met)).toThrow(said);
});

test('at first contact, too, a chain that is listed has to hold', () => {
  const forged = { ...second, endorsement: third.endorsement };
  expect(() => read(directoryOf([first, forged]))).toThrow(/does not vouch for/);
  expect(() => directoryOf([second, first])).toThrow(/precedes an earlier one/);
  expect(() => directoryOf([first, first])).toThrow(/twice/);
});

test('a revoked key vouches for nobody afterwards, and is not revived', () => {
  const heir = replacementKey(crypto, A, first, NOW + DAY_MS);
  const revoked = { ...first, revokedAt: NOW + DAY_MS };
  const trust = read(later([revoked, heir], 1, 2n), met);
  expect(trust.keys.map(({ revokedAt }) => revokedAt)).toEqual([NOW + DAY_MS, undefined]);
  // Whoever stole the first key makes another one with it.
  const thief = replacementKey(crypto, A, first, NOW + 2 * DAY_MS);
  expect(() => read(later([revoked, heir, thief], 2, 3n), trust)).toThrow(/follows from none/);
  // Or lists it as if nothing had happened.
  expect(() => read(later([first], 2, 3n), trust)).toThrow(/by a key that was revoked/);
  const kept = read(directoryOf([first, heir], { serial: 3n, createdMs: heir.notBefore }), trust);
  expect(kept.keys[0]?.revokedAt).toBe(NOW + DAY_MS);
});

test('an older directory, or another one under the same serial, is refused', () => {
  const trust = read(later([first, second], 1, 5n), met);
  expect(() => read(later([first], 1, 4n), trust)).toThrow(/is older than one/);
  expect(() => read(later([first], 1, 5n), trust)).toThrow(/under the same serial/);
  expect(read(later([first, second], 1, 5n), trust)).toEqual(trust);
});

test('a directory is of its domain, of now, and signed by one of its keys', () => {
  const signed = directoryOf([first]);
  expect(() => extendTrust(crypto, { domain: B, nowMs: NOW }, signed, undefined)).toThrow(
    'the directory of b.example is that of a.example',
  );
  expect(() => read(signed, undefined, NOW + 2 * DAY_MS)).toThrow(/has expired/);
  expect(() => read(signed, undefined, NOW - HOUR_MS)).toThrow(/is from the future/);
  const other = directoryOf([keyOf()]);
  expect(() => read({ ...signed, signature: other.signature })).toThrow(/is not signed by/);
  expect(() => read({ ...signed, keyId: other.keyId })).toThrow(/is not signed by/);
  // A key that is announced and does not sign yet.
  const early = signDirectory(crypto, {
    ...{ ...signed.directory, createdMs: second.notBefore },
    keys: [second],
  });
  const announced = readDirectory(crypto, early);
  const dated = { ...announced.directory, createdMs: NOW };
  expect(() => read({ ...announced, directory: dated }, undefined, NOW)).toThrow(
    /is not signed by/,
  );
});

test('while keys rotate there is always one that signs, and everybody has read of it in time', () => {
  const keys = [first, second, third];
  let readAt: { atMs: number; keys: readonly OwnKey[] } | undefined;
  for (let now = NOW; now < NOW + 100 * DAY_MS; now += 6 * HOUR_MS) {
    const listed = keys.filter((_, at) => (madeAt[at] ?? Infinity) <= now);
    const signer = signingKey(keys, now);
    expect(signer).toBeDefined();
    // The slowest reader looks again only when it must.
    if (readAt === undefined || now - readAt.atMs >= OVERLAP_MS)
      readAt = { atMs: now, keys: listed };
    expect(readAt.keys.includes(signer!)).toBe(true);
    // What was signed a minute ago with the key before is still believed.
    expect(keyStanding(signingKey(keys, now - 60_000) ?? first, now)).toBe('valid');
  }
  expect([signingKey(keys, second.notBefore - 1), signingKey(keys, second.notBefore)]).toEqual([
    first,
    second,
  ]);
});

test('the next key is due a week before the last one ends', () => {
  const end = NOW - 1_000 + KEY_MS;
  expect(isRotationDue([first], end - 8 * DAY_MS)).toBe(false);
  expect(isRotationDue([first], end - 6 * DAY_MS)).toBe(true);
  expect(isRotationDue([first, second], end - 6 * DAY_MS)).toBe(false);
  expect(isRotationDue([{ ...first, revokedAt: 1 }], NOW)).toBe(true);
});

test('the document is JSON with one line of base64url in it', () => {
  const bytes = signDirectory(crypto, { ...directoryOf([first]).directory, keys: [first] });
  const document = printDirectory(bytes);
  expect(document).toMatch(/^\{"directory":"[A-Za-z0-9_-]+"\}$/);
  const parse = (text: string) => parseDirectory(new TextEncoder().encode(text));
  expect(parse(document)).toEqual(bytes);
  for (const wrong of [
    '',
    '[]',
    'null',
    '{}',
    '{"directory":1}',
    '{"directory":"+/"}',
    '\ufeff{}',
  ]) {
    expect(() => parse(wrong)).toThrow(expect.objectContaining({ reason: 'MALFORMED' }));
  }
  expect(() => parse(`{"directory":"","x":"${'x'.repeat(51_200)}"}`)).toThrow(/is too long/);
});

test('numbers of a directory are such as can be kept', () => {
  const { directory } = directoryOf([first]);
  const signed = (changes: object) =>
    signDirectory(crypto, { ...directory, keys: [first], ...changes });
  const wrong = [
    signed({ serial: 2n ** 63n }),
    signed({ protocol: { min: 0, max: 1 } }),
    signed({ protocol: { min: 2, max: 1 } }),
    encode((w) => w.fixed(signed({})).u8(0)),
  ];
  for (const bytes of wrong) {
    expect(() => readDirectory(crypto, bytes)).toThrow(
      expect.objectContaining({ reason: 'MALFORMED' }),
    );
  }
});

test('a directory is kept for five minutes at least and a day at most', () => {
  const { directory } = directoryOf([first]);
  expect(cacheMs({ ...directory, expiresMs: NOW + 10 * DAY_MS }, NOW)).toBe(DAY_MS);
  expect(cacheMs({ ...directory, expiresMs: NOW + 1 }, NOW)).toBe(300_000);
  expect(cacheMs({ ...directory, expiresMs: NOW + HOUR_MS }, NOW)).toBe(HOUR_MS);
});
