import { expect, test } from '@jest/globals';
import { fromBase64url, toBase64url, toHex } from '@roost/core/bytes';
import fc from 'fast-check';
import {
  authorizationHeader,
  decodeChallenge,
  encodeChallenge,
  newChallenge,
  parseAuthorization,
  parseChallenges,
} from './challenge.ts';
import { decodeToken, TOKEN_BYTES } from './token.ts';

const token = Uint8Array.from({ length: TOKEN_BYTES }, (_, at) => (at < 2 ? at * 2 : at % 251));
const base64 = toBase64url(token);

test('a challenge is written as RFC 9577 has it', () => {
  const bytes = encodeChallenge(newChallenge('a.example'));
  expect(toHex(bytes)).toBe('00020009612e6578616d706c65000000');
  expect(decodeChallenge(bytes)).toEqual(newChallenge('a.example'));
});

test('a challenge without an issuer or with half a context is refused', () => {
  expect(() => encodeChallenge(newChallenge(''))).toThrow('issuer_name');
  const half = { ...newChallenge('a.example'), redemptionContext: new Uint8Array(16) };
  expect(() => encodeChallenge(half)).toThrow('redemption_context');
  expect(() => decodeChallenge(new Uint8Array(4))).toThrow('ends too early');
  expect(() => decodeChallenge(Uint8Array.of(0, 2, 0, 1, 0xff, 0, 0, 0))).toThrow('UTF-8');
  const trailing = new Uint8Array([...encodeChallenge(newChallenge('a.example')), 0]);
  expect(() => decodeChallenge(trailing)).toThrow('bytes too many');
});

test('a token goes into a header and out of it', () => {
  expect(authorizationHeader(token)).toBe(`PrivateToken token="${base64}"`);
  expect(parseAuthorization(authorizationHeader(token))).toStrictEqual(token);
});

test.each([
  ['unquoted', `PrivateToken token=${base64}`],
  ['in another case', `privatetoken TOKEN="${base64}"`],
  ['with other parameters', `PrivateToken a=b, token="${base64}" , x="q\\"u, o"`],
  ['with blanks around the sign', `PrivateToken   token = "${base64}"`],
])('a token is read %s', (_, header) => {
  expect(parseAuthorization(header)).toStrictEqual(token);
});

test.each([
  ['nothing', ''],
  ['another scheme', `Bearer token="${base64}"`],
  ['no parameter', 'PrivateToken'],
  ['the token as token68', `PrivateToken ${base64}`],
  ['two tokens', `PrivateToken token="${base64}", token="${base64}"`],
  ['two credentials', `PrivateToken token="${base64}", PrivateToken token="${base64}"`],
  ['a parameter before any scheme', `token="${base64}"`],
  ['an open quote', `PrivateToken token="${base64}`],
  ['a shorter token', `PrivateToken token="${toBase64url(token.subarray(1))}"`],
  ['another type', `PrivateToken token="${toBase64url(token.map((byte) => byte ^ 1))}"`],
  ['other letters', `PrivateToken token="${base64.slice(0, -1)}*"`],
  ['too much', `PrivateToken token="${base64}", x="${'x'.repeat(9000)}"`],
])('a header with %s holds no token', (_, header) => {
  expect(parseAuthorization(header)).toBeUndefined();
});

test('challenges of other schemes are passed over', () => {
  const challenge = encodeChallenge(newChallenge('a.example'));
  const ours = `PrivateToken challenge="${toBase64url(challenge)}"`;
  const header = `Basic realm="x, y", Negotiate YWJj=, ${ours}, Bearer`;
  expect(parseChallenges(header)).toEqual([
    { challenge, tokenKey: undefined, maxAgeSeconds: undefined },
  ]);
});

test('any header is read without an error', () => {
  const pieces = fc.constantFrom('PrivateToken', ' ', 'token', '=', '"', '\\', ',', base64, 'é');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      const read = parseAuthorization(parts.join(''));
      expect(read === undefined || fromBase64url(base64)?.join() === read.join()).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('a token of another size or type does not decode', () => {
  expect(() => decodeToken(token.subarray(1))).toThrow('a token is 354 bytes');
  expect(() => decodeToken(token.map((byte) => byte ^ 1))).toThrow('a token is 354 bytes');
});
