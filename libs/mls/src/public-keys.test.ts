import { expect, test } from '@jest/globals';
import { fromHex } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { ciphersuiteOf, SUITE_1 } from './provider.ts';
import { isUsableKey } from './public-keys.ts';

const SUITE_2 = 'MLS_128_DHKEMP256_AES128GCM_SHA256_P256';

test.each([SUITE_1, SUITE_2] as const)(
  'a key of %s is usable, and what is near it is not',
  async (name) => {
    const { hpke } = ciphersuiteOf(nodeCrypto, name);
    for (let round = 0; round < 5; round++) {
      const { publicKey } = await hpke.generateKeyPair();
      const key = await hpke.exportPublicKey(publicKey);
      expect(isUsableKey(name, key)).toBe(true);
      if (name === SUITE_2) expect(isUsableKey(name, key.with(40, (key[40] ?? 0) ^ 1))).toBe(false);
    }
  },
);

test('nobody encrypts to a point of low order, and this library knows each of them', async () => {
  const { hpke } = ciphersuiteOf(nodeCrypto, SUITE_1);
  const low = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(31)}`,
  ];
  for (const key of low.map(bytesOf)) {
    expect(isUsableKey(SUITE_1, key)).toBe(false);
    const imported = await hpke.importPublicKey(key);
    await expect(hpke.seal(imported, key, key)).rejects.toThrow();
  }
  expect(isUsableKey(SUITE_1, bytesOf(`09${'00'.repeat(31)}`))).toBe(true);
});

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes === undefined) throw new Error('it is hex');
  return bytes;
}
