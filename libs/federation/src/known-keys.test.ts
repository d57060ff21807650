import { expect, test } from '@jest/globals';
import { fromHex } from '@roost/core/bytes';
import { nodeCrypto as crypto } from '@roost/crypto/node';

import { isKnownKey } from './known-keys.ts';

const RFC_8032 = [
  '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
  '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
  'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
  'f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5',
  '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
];
const publicOf = (seed: Uint8Array) => crypto.ed25519.publicKey(seed);

test.each([
  ['examples of the standard', RFC_8032.map((seed) => publicOf(fromHex(seed)!))],
  ['a byte again and again', [0, 7, 171, 255].map((b) => publicOf(new Uint8Array(32).fill(b)))],
  ['counting', [publicOf(Uint8Array.from({ length: 32 }, (_, at) => at))]],
])('keys of %s are known', (_, keys) => {
  expect(keys.map((key) => isKnownKey(crypto, key))).toEqual(keys.map(() => true));
});

test('so is a point of small order, and no key that was drawn', () => {
  const identity = Uint8Array.of(1, ...new Uint8Array(31));
  const zero = new Uint8Array(32);
  const other = Uint8Array.of(...new Uint8Array(31), 0x80);
  for (const key of [identity, zero, other]) expect(isKnownKey(crypto, key)).toBe(true);
  for (let n = 0; n < 20; n++) {
    expect(isKnownKey(crypto, crypto.ed25519.generate().publicKey)).toBe(false);
  }
});
