import { expect, test } from '@jest/globals';
import { fromHex, utf8 } from '@roost/core/bytes';
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
const exactly = (size: number) =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Uint8Array.from(bytes));
const anyBytes = fc.uint8Array({ maxLength: 300 });
const FEW = { numRuns: 15 };

test.each(doors)('%s signs as RFC 8032 §7.1 does', (_, crypto) => {
  const secret = hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
  const publicKey = hex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
  const signature = hex(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );

  expect(crypto.ed25519.publicKey(secret)).toStrictEqual(publicKey);
  expect(crypto.ed25519.sign(secret, hex('72'))).toStrictEqual(signature);
  expect(crypto.ed25519.verify(publicKey, hex('72'), signature)).toBe(true);
  expect(crypto.ed25519.verify(publicKey, hex('73'), signature)).toBe(false);
});

test.each(doors)('%s agrees on secrets as RFC 7748 §6.1 does', (_, { x25519 }) => {
  const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
  const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
  const shared = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');

  expect(x25519.publicKey(alice)).toStrictEqual(
    hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
  );
  expect(x25519.dh(alice, x25519.publicKey(bob))).toStrictEqual(shared);
  expect(x25519.dh(bob, x25519.publicKey(alice))).toStrictEqual(shared);
});

/** RFC 6979 A.2.5; the signature of "sample" has an s in the upper half of the order. */
const point = hex(
  '0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6' +
    '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
);
const scalar = hex('c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721');
const sampleSignature = hex(
  '3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716' +
    '022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
);

test.each(doors)('%s reads P-256 signatures as RFC 6979 A.2.5 has them', (_, { p256 }) => {
  expect(p256.publicKey(scalar)).toStrictEqual(point);
  expect(p256.verify(point, utf8('sample'), sampleSignature)).toBe(true);
  expect(p256.verify(point, utf8('Sample'), sampleSignature)).toBe(false);
});

test.each(doors)('%s refuses P-256 keys and signatures that are none', (_, { p256 }) => {
  const sample = utf8('sample');
  const offCurve = point.with(64, 0x98);
  const compressed = Uint8Array.of(3, ...point.subarray(1, 33));
  const longer = Uint8Array.of(...sampleSignature, 0);
  expect(p256.verify(offCurve, sample, sampleSignature)).toBe(false);
  expect(p256.verify(compressed, sample, sampleSignature)).toBe(false);
  expect(p256.verify(new Uint8Array(0), sample, sampleSignature)).toBe(false);
  expect(p256.verify(point, sample, longer)).toBe(false);
  expect(p256.verify(point, sample, sampleSignature.subarray(0, 64))).toBe(false);
  expect(p256.dh(scalar, offCurve)).toBeUndefined();
  expect(p256.dh(scalar, compressed)).toBeUndefined();
  expect(p256.dh(new Uint8Array(32), point)).toBeUndefined();
  expect(p256.publicKey(new Uint8Array(32))).toBeUndefined();
  expect(p256.publicKey(new Uint8Array(32).fill(0xff))).toBeUndefined();
  expect(p256.publicKey(scalar.subarray(1))).toBeUndefined();
});

test('what one door signs by P-256 the other believes, and both agree to the same secret', () => {
  for (const [, ours] of doors) {
    for (const [, theirs] of doors) {
      const { privateKey, publicKey } = ours.p256.generate();
      const other = theirs.p256.generate();
      const signature = ours.p256.sign(privateKey, utf8('hello'));
      expect(theirs.p256.publicKey(privateKey)).toStrictEqual(publicKey);
      expect(theirs.p256.verify(publicKey, utf8('hello'), signature)).toBe(true);
      expect(theirs.p256.verify(other.publicKey, utf8('hello'), signature)).toBe(false);
      expect(ours.p256.dh(privateKey, other.publicKey)).toStrictEqual(
        theirs.p256.dh(other.privateKey, publicKey),
      );
    }
  }
});

test.each(doors)('%s seals by ChaCha20-Poly1305 as RFC 8439 §2.8.2 does', (_, crypto) => {
  const key = Uint8Array.from({ length: 32 }, (_each, at) => 0x80 + at);
  const nonce = hex('070000004041424344454647');
  const aad = hex('50515253c0c1c2c3c4c5c6c7');
  const plaintext = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
      'sunscreen would be it.',
  );
  const { seal, open } = crypto.chacha20Poly1305;
  const sealed = seal(key, nonce, aad, plaintext);
  expect(sealed.subarray(0, 16)).toEqual(hex('d31a8d34648e60db7b86afbc53ef7ec2'));
  expect(sealed.subarray(-16)).toEqual(hex('1ae10b594f09e26a7e902ecbd0600691'));
  expect(open(key, nonce, aad, sealed)).toStrictEqual(plaintext);
  expect(open(key, nonce, aad, sealed.with(3, 0))).toBeUndefined();
  expect(open(key, nonce, nonce, sealed)).toBeUndefined();
  expect(open(key, nonce, aad, sealed.subarray(0, 15))).toBeUndefined();
  expect(() => seal(key.subarray(16), nonce, aad, plaintext)).toThrow('32 bytes');
});

test.each(doors)('%s derives as RFC 5869 appendix A does', (_, crypto) => {
  const ikm = new Uint8Array(22).fill(0x0b);
  const prk = hkdfExtract(crypto, hex('000102030405060708090a0b0c'), ikm);
  expect(prk).toStrictEqual(
    hex('077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5'),
  );
  expect(hkdfExpand(crypto, prk, hex('f0f1f2f3f4f5f6f7f8f9'), 42)).toStrictEqual(
    hex('3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'),
  );

  const unsalted = hkdfExtract(crypto, new Uint8Array(0), ikm);
  expect(hkdfExpand(crypto, unsalted, new Uint8Array(0), 42)).toStrictEqual(
    hex('8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'),
  );
});

test.each(doors)('%s hashes and authenticates as published', (_, crypto) => {
  expect(crypto.sha256(utf8('abc'))).toStrictEqual(
    hex('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'),
  );
  expect(crypto.sha384(utf8('abc'))).toStrictEqual(
    hex(
      'cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed' +
        '8086072ba1e7cc2358baeca134c825a7',
    ),
  );
  // RFC 4231 §4.7: a key longer than a block.
  const long = crypto.hmacSha256(
    new Uint8Array(131).fill(0xaa),
    utf8('Test Using Larger Than Block-Size Key - Hash Key First'),
  );
  expect(long).toStrictEqual(
    hex('60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'),
  );
});

test('both doors hash, authenticate, sign and agree to the same bytes', () => {
  fc.assert(
    fc.property(exactly(32), exactly(32), anyBytes, (secret, other, message) => {
      const both = <T>(work: (crypto: Crypto) => T): void =>
        expect(work(nodeCrypto)).toStrictEqual(work(webCrypto));
      both((crypto) => crypto.sha256(message));
      both((crypto) => crypto.sha384(message));
      both((crypto) => crypto.hmacSha256(message, secret));
      both((crypto) => crypto.ed25519.publicKey(secret));
      both((crypto) => crypto.ed25519.sign(secret, message));
      both((crypto) => crypto.x25519.publicKey(secret));
      both((crypto) => crypto.x25519.dh(secret, other));
      both((crypto) => crypto.equal(secret, other));
    }),
    FEW,
  );
});

test('what one door seals the other opens, and nothing else', () => {
  const keys = fc.oneof(exactly(16), exactly(32));
  fc.assert(
    fc.property(keys, exactly(12), anyBytes, anyBytes, (key, nonce, aad, plaintext) => {
      const sealed = nodeCrypto.seal(key, nonce, aad, plaintext);
      const forged = Uint8Array.from(sealed);
      forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;

      expect(webCrypto.seal(key, nonce, aad, plaintext)).toStrictEqual(sealed);
      for (const [, crypto] of doors) {
        expect(crypto.open(key, nonce, aad, sealed)).toStrictEqual(Uint8Array.from(plaintext));
        expect(crypto.open(key, nonce, aad, forged)).toBeUndefined();
        expect(crypto.open(key, nonce, Uint8Array.of(...aad, 255), sealed)).toBeUndefined();
        expect(crypto.open(key, nonce, aad, sealed.subarray(0, 15))).toBeUndefined();
      }
    }),
    FEW,
  );
});

test.each(doors)('%s makes keys that work, each one new', (_, { ed25519, x25519 }) => {
  const signer = ed25519.generate();
  expect(ed25519.publicKey(signer.privateKey)).toStrictEqual(signer.publicKey);
  const receiver = x25519.generate();
  expect(x25519.publicKey(receiver.privateKey)).toStrictEqual(receiver.publicKey);
  expect(ed25519.generate().privateKey).not.toEqual(signer.privateKey);
});

test.each(doors)('%s answers malformed keys and signatures by refusing', (_, crypto) => {
  const { privateKey, publicKey } = crypto.ed25519.generate();
  const message = utf8('hello');
  const signature = crypto.ed25519.sign(privateKey, message);

  expect(crypto.ed25519.verify(publicKey.subarray(1), message, signature)).toBe(false);
  expect(crypto.ed25519.verify(publicKey, message, signature.subarray(1))).toBe(false);
  expect(crypto.ed25519.verify(new Uint8Array(32).fill(0xff), message, signature)).toBe(false);
  expect(crypto.x25519.dh(privateKey, new Uint8Array(31))).toBeUndefined();
  expect(crypto.x25519.dh(privateKey.subarray(1), publicKey)).toBeUndefined();
  expect(crypto.x25519.dh(privateKey, new Uint8Array(32))).toBeUndefined();
});

test.each(doors)('%s accepts no signature under a key of small order', (_, { ed25519 }) => {
  const identity = hex(`01${'00'.repeat(31)}`);
  // R = identity and S = 0 satisfy the equation for every message under this key.
  const forAll = hex(`01${'00'.repeat(63)}`);
  expect(ed25519.verify(identity, utf8('anything'), forAll)).toBe(false);
  expect(ed25519.verify(hex(`01${'00'.repeat(30)}80`), utf8('anything'), forAll)).toBe(false);
  expect(ed25519.verify(hex(`ee${'ff'.repeat(30)}7f`), utf8('anything'), forAll)).toBe(false);
});

test.each(doors)(
  '%s draws as many random bytes as asked, beyond one call of browsers',
  (_, crypto) => {
    const bytes = crypto.random(70_000);
    expect(bytes.length).toBe(70_000);
    expect(bytes.subarray(65_536).some((byte) => byte !== 0)).toBe(true);
  },
);

test.each(doors)('%s gives no random byte twice', (_, crypto) => {
  const draws = Array.from({ length: 3_000 }, (_each, at) => crypto.random(12 + (at % 40)));
  const heads = new Set(draws.map((bytes) => String(bytes.subarray(0, 12))));
  const tails = new Set(draws.map((bytes) => String(bytes.subarray(-12))));
  expect(heads.size).toBe(draws.length);
  expect(tails.size).toBe(draws.length);
  const all = draws.reduce((sum, bytes) => sum + bytes.filter((byte) => byte === 0).length, 0);
  expect(all / draws.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(0.01);
});

test.each(doors)('%s compares by content and length', (_, crypto) => {
  expect(crypto.equal(hex('0102'), hex('0102'))).toBe(true);
  expect(crypto.equal(hex('0102'), hex('0103'))).toBe(false);
  expect(crypto.equal(hex('0102'), hex('010200'))).toBe(false);
});

test('keys that were displaced from memory are imported again', () => {
  const first = nodeCrypto.x25519.generate();
  for (let count = 0; count < 300; count++) nodeCrypto.x25519.generate();
  expect(nodeCrypto.x25519.publicKey(first.privateKey)).toStrictEqual(first.publicKey);
});
