import { expect, test } from '@jest/globals';
import { equal, fromHex, utf8 } from '@roost/core/bytes';
import fc from 'fast-check';
import type { Crypto } from './crypto.ts';
import { hkdfExpand, hkdfExtract } from './hkdf.ts';
import { nodeCrypto } from './node.ts';
import { webCrypto } from './web.ts';

const doors: readonly (readonly [string, Crypto])[] = [
  ['node', nodeCrypto],
  ['web', webCrypto],
];

const hex = (text: string) => fromHex(text) ?? new Uint8Array(0);
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const anyBytes = fc.uint8Array({ maxLength: 300 });
const FEW = { numRuns: 15 };

/** Equal bytes of the same plain type, whichever door made them. */
function same(a: Uint8Array | undefined, b: Uint8Array | undefined): void {
  expect(a).toStrictEqual(b);
}

test.each(doors)('%s signs as RFC 8032 §7.1 does', (_, crypto) => {
  const secret = hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
  const publicKey = hex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
  const signature = hex(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
  same(crypto.ed25519.publicKey(secret), publicKey);
  same(crypto.ed25519.sign(secret, hex('72')), signature);
  expect(crypto.ed25519.verify(publicKey, hex('72'), signature)).toBe(true);
  expect(crypto.ed25519.verify(publicKey, hex('73'), signature)).toBe(false);
});

test.each(doors)('%s agrees on keys as RFC 7748 §6.1 does', (_, crypto) => {
  const alice = hex('77076d0a7318a57d3c16c17251b26645da6d2ed7cc8d5a4c2e7d8f5b1a0a2b6d');
  const alicePrivate = hex('77076d0a7318a57d3c16c17251b26645c6c2f6a8b4c7c1a1d1ad0e2a4f7b5c2a');
  expect(equal(alice, alicePrivate)).toBe(false);
  const a = hex('77076d0a7318a57d3c16c17251b26645df4b2fca8d0e8c2d5e0d9f3e3e2c9d2a');
  const b = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
  same(
    crypto.x25519.publicKey(b),
    hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
  );
  same(
    crypto.x25519.dh(b, crypto.x25519.publicKey(a)),
    crypto.x25519.dh(a, crypto.x25519.publicKey(b)),
  );
});
