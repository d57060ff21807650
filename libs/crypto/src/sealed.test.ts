import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import fc from 'fast-check';
import { nodeCrypto } from './node.ts';
import { openSealed, padTo, padToLadder, sealRandom, unpad } from './sealed.ts';
import { webCrypto } from './web.ts';

const key = nodeCrypto.random(16);
const aad = utf8('aad');
const plaintext = utf8('plaintext');

test('what is sealed opens with the same key and aad, and with no other', () => {
  const sealed = sealRandom(nodeCrypto, key, aad, plaintext);
  expect(sealed.length).toBe(12 + plaintext.length + 16);
  expect(openSealed(webCrypto, key, aad, sealed)).toStrictEqual(plaintext);
  expect(openSealed(nodeCrypto, nodeCrypto.random(16), aad, sealed)).toBeUndefined();
  expect(openSealed(nodeCrypto, key, plaintext, sealed)).toBeUndefined();
  expect(openSealed(nodeCrypto, key, aad, sealed.subarray(0, 27))).toBeUndefined();
  expect(openSealed(nodeCrypto, key, aad, sealed.subarray(0, 3))).toBeUndefined();
});

test('the same plaintext is sealed differently each time', () => {
  const first = sealRandom(nodeCrypto, key, aad, plaintext);
  expect(sealRandom(nodeCrypto, key, aad, plaintext)).not.toEqual(first);
});

test('padding comes off as it went on, and shows only the step', () => {
  const contents = fc.uint8Array({ maxLength: 400 }).map((bytes) => Uint8Array.from(bytes));
  fc.assert(
    fc.property(contents, fc.integer({ min: 1, max: 300 }), (content, step) => {
      const padded = padTo(content, step);
      expect(padded.length % step).toBe(0);
      expect(padded.length - content.length).toBeLessThan(step + 4);
      expect(unpad(padded)).toStrictEqual(content);
    }),
    { numRuns: 50 },
  );
});

test('a ladder pads to its first step that is large enough, then to multiples of the last', () => {
  const sizeOf = (length: number) => padToLadder(new Uint8Array(length), [64, 256]).length;
  expect([0, 63, 64, 254, 255, 600].map(sizeOf)).toEqual([64, 64, 256, 256, 512, 768]);
  expect(unpad(padToLadder(plaintext, [64, 256]))).toStrictEqual(plaintext);
});

test('padding that says something is refused', () => {
  const padded = padTo(plaintext, 32);
  padded[31] = 1;
  expect(() => unpad(padded)).toThrow('the padding is not zeros');
  expect(() => unpad(Uint8Array.of(5, 1))).toThrow('longer than 2 bytes');
});
