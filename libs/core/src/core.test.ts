import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compare, concat, equal, fromBase64url, fromHex, toBase64url, toHex } from './bytes.ts';
import { Failure } from './failure.ts';
import {
  ClientId,
  parseDomain,
  parseUserName,
  parseUuid,
  printId,
  printUserName,
  UserId,
  uuidBytes,
  uuidOf,
  writeClientId,
  writeScoped,
} from './ids.ts';
import { decodeAll, encode, Reader } from './tls.ts';

const bytes = fc.uint8Array({ maxLength: 300 });
const domains = fc.constantFrom(
  'a.example',
  'chat.example.org',
  'xn--bcher-kva.example',
  'localhost',
);
const uuids = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => uuidOf(b));
const home = parseDomain('home.example');

function refused(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error.reason;
    throw error;
  }
  return 'accepted';
}

test('hex, base64url and vectors give back what they took', () => {
  fc.assert(
    fc.property(bytes, (value) => {
      expect(fromHex(toHex(value))).toEqual(value);
      expect(fromBase64url(toBase64url(value))).toEqual(value);
      expect(
        decodeAll(
          encode((w) => w.opaque(value)),
          'x',
          (r) => r.opaque(300),
        ),
      ).toEqual(value);
    }),
  );
});

test('long vectors are written with lengths of two and four bytes', () => {
  for (const size of [0, 63, 64, 16_383, 16_384, 100_000]) {
    const value = new Uint8Array(size).fill(7);
    const coded = encode((w) => w.opaque(value));
    expect(coded.length - size).toBe(size < 64 ? 1 : size < 16_384 ? 2 : 4);
    expect(decodeAll(coded, 'x', (r) => r.opaque(size))).toEqual(value);
  }
});

test.each([
  ['a truncated vector', Uint8Array.of(5, 1, 2)],
  ['a length that is not the shortest', Uint8Array.of(0x40, 5, 1, 2, 3, 4, 5)],
  ['a length with the reserved prefix', Uint8Array.of(0xc0, 0, 0, 0)],
  ['a length of a gigabyte', Uint8Array.of(0xbf, 0xff, 0xff, 0xff)],
  ['trailing bytes', Uint8Array.of(1, 1, 1)],
])('%s is refused', (_, coded) => {
  expect(refused(() => decodeAll(coded, 'x', (r) => r.opaque(1 << 30)))).toBe('MALFORMED');
});

test('a list longer than its limit is refused', () => {
  const coded = encode((w) => w.vector([1, 2, 3], (inner, value) => inner.u8(value)));
  expect(refused(() => new Reader(coded, 'x').vector(2, (r) => r.u8()))).toBe('MALFORMED');
  expect(new Reader(coded, 'x').vector(3, (r) => r.u8())).toEqual([1, 2, 3]);
});

test('ids are printed, written and parsed to the same', () => {
  fc.assert(
    fc.property(uuids, uuids, domains, (uuid, client, domain) => {
      const user = UserId.of(uuid, parseDomain(domain));
      const id = ClientId.of(user, client);
      expect(UserId.fromText(printId(user), 'user')).toEqual(user);
      expect(ClientId.fromText(printId(id), 'client')).toEqual(id);
      expect(
        decodeAll(
          encode((w) => writeScoped(w, user)),
          'x',
          UserId.read,
        ),
      ).toEqual(user);
      expect(
        decodeAll(
          encode((w) => writeClientId(w, id)),
          'x',
          ClientId.read,
        ),
      ).toEqual(id);
      expect(parseUuid(uuidBytes(uuid))).toBe(uuid);
    }),
  );
});

test.each([
  ...['', 'A.example', 'a.example.', '.a.example', 'a..example', 'a.example:443', 'a@b.example'],
  ...[
    'a.example/',
    'a%2fb.example',
    'bücher.example',
    '10.0.0.1',
    '[::1]',
    'a_b.example',
    'example',
  ],
  ...['-a.example', 'a-.example', ' a.example', 'a.example\n', 'a'.repeat(64) + '.example'],
  Array.from({ length: 64 }, () => 'abcd').join('.'),
])('the domain %j is refused', (text) => {
  expect(refused(() => parseDomain(text))).toBe('MALFORMED');
});

test.each([
  ...[
    'a',
    'ab!',
    '-ab',
    'ab-',
    '.ab',
    'ab.',
    'a b',
    'ä-b',
    'a'.repeat(64),
    'ab@',
    'ab@b@c.example',
  ],
  ...['', '@', 'ab@localhost:3', 'ab\u0000c'],
])('the user name %j is refused', (text) => {
  expect(refused(() => parseUserName(text, home))).toBe('MALFORMED');
});

test('a user name is folded and takes the home domain', () => {
  expect(printUserName(parseUserName('Alice.B-1', home))).toBe('alice.b-1@home.example');
  expect(printUserName(parseUserName('bob@other.example', home))).toBe('bob@other.example');
  expect(parseUserName('a'.repeat(63), home).name).toHaveLength(63);
});

test('bytes are ordered as unsigned numbers, a prefix first', () => {
  expect(compare(Uint8Array.of(1, 255), Uint8Array.of(1, 0))).toBeGreaterThan(0);
  expect(compare(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
  expect(compare(Uint8Array.of(2), Uint8Array.of(2))).toBe(0);
  expect(equal(concat(Uint8Array.of(1), Uint8Array.of(2, 3)), Uint8Array.of(1, 2, 3))).toBe(true);
});
