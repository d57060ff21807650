import { expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { signWithLabel, verifyWithLabel } from './labelled.ts';
import { nodeCrypto } from './node.ts';

const { privateKey, publicKey } = nodeCrypto.ed25519.generate();
const content = utf8('content');

test('the signature covers the prefixed label and the content, each with its length', () => {
  const signature = signWithLabel(nodeCrypto, privateKey, 'Test', content);
  const signed = utf8('\x0eRoost 1.0 Test\x07content');
  expect(nodeCrypto.ed25519.verify(publicKey, signed, signature)).toBe(true);
});

test('a signature holds for its own label, content and key only', () => {
  const signature = signWithLabel(nodeCrypto, privateKey, 'Test', content);
  const verify = (label: string, what: Uint8Array, key = publicKey) =>
    verifyWithLabel(nodeCrypto, key, label, what, signature);

  expect(verify('Test', content)).toBe(true);
  expect(verify('Tes', content)).toBe(false);
  expect(verify('Test', utf8('contend'))).toBe(false);
  expect(verify('Test', content, nodeCrypto.ed25519.generate().publicKey)).toBe(false);
  expect(verify('Test', content, new Uint8Array(5))).toBe(false);
});
