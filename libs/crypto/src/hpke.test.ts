import {
  Aes128Gcm,
  CipherSuite,
  DhkemP256HkdfSha256,
  DhkemX25519HkdfSha256,
  HkdfSha256,
} from '@hpke/core';
import { expect, test } from '@jest/globals';
import { concat, fromHex, utf8 } from '@roost/core/bytes';
import type { Crypto } from './crypto.ts';
import { Hpke, openWith, sealTo, X25519_AES128 } from './hpke.ts';
import { nodeCrypto } from './node.ts';
import { webCrypto } from './web.ts';

const doors: readonly (readonly [string, Crypto])[] = [
  ['node', nodeCrypto],
  ['web', webCrypto],
];

const hex = (text: string) => fromHex(text) ?? new Uint8Array(0);
const other = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes128Gcm(),
});
const info = utf8('info');
const aad = utf8('aad');
const plaintext = utf8('plaintext');

/** RFC 9180 appendix A.1.1. */
const vector = {
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  ikmE: hex('7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234'),
  enc: hex('37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431'),
  privateE: hex('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736'),
  ikmR: hex('6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037'),
  publicR: hex('3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d'),
  plaintext: hex('4265617574792069732074727574682c20747275746820626561757479'),
  ciphertexts: [
    'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
    'af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84',
  ].map(hex),
  exports: [
    ['', '3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee'],
    ['00', '2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5'],
    ['54657374436f6e74657874', 'e9e43065102c3836401bed8c3c3c75ae46be1639869391d62c61f1ec7af54931'],
  ] as const,
};

test.each(doors)('%s keeps the vectors of RFC 9180 A.1.1', (_, crypto) => {
  const hpke = new Hpke(crypto, X25519_AES128);
  const ephemeral = hpke.deriveKeyPair(vector.ikmE);
  const receiver = hpke.deriveKeyPair(vector.ikmR);
  expect(ephemeral).toStrictEqual({ privateKey: vector.privateE, publicKey: vector.enc });
  expect(receiver.publicKey).toStrictEqual(vector.publicR);

  const { enc, context } = hpke.setupSender(receiver.publicKey, vector.info, ephemeral);
  expect(enc).toStrictEqual(vector.enc);
  const opener = hpke.setupReceiver(receiver.privateKey, enc, vector.info);
  vector.ciphertexts.forEach((ciphertext, count) => {
    const countAad = utf8(`Count-${count}`);
    expect(context.seal(countAad, vector.plaintext)).toStrictEqual(ciphertext);
    expect(opener?.open(countAad, ciphertext)).toStrictEqual(vector.plaintext);
  });
  for (const [exporterContext, exported] of vector.exports) {
    expect(context.export(hex(exporterContext), 32)).toStrictEqual(hex(exported));
    expect(opener?.export(hex(exporterContext), 32)).toStrictEqual(hex(exported));
  }
});

test.each(doors)('%s opens what another implementation sealed', async (_, crypto) => {
  const { privateKey, publicKey } = crypto.x25519.generate();
  const recipientPublicKey = await other.kem.deserializePublicKey(publicKey);
  const sender = await other.createSenderContext({ recipientPublicKey, info });
  const sealed = concat(
    new Uint8Array(sender.enc),
    new Uint8Array(await sender.seal(plaintext, aad)),
  );
  expect(openWith(crypto, privateKey, { info, aad }, sealed)).toStrictEqual(plaintext);
});

test.each(doors)('%s seals what another implementation opens', async (_, crypto) => {
  const hpke = new Hpke(crypto, X25519_AES128);
  const { privateKey, publicKey } = hpke.deriveKeyPair(utf8('a seed of thirty-two bytes or so'));
  const theirs = await other.kem.deriveKeyPair(utf8('a seed of thirty-two bytes or so'));
  expect(new Uint8Array(await other.kem.serializePublicKey(theirs.publicKey))).toEqual(publicKey);

  const sealed = sealTo(crypto, publicKey, { info, aad }, plaintext);
  const recipientKey = await other.kem.deserializePrivateKey(privateKey);
  const receiver = await other.createRecipientContext({
    recipientKey,
    enc: sealed.slice(0, 32),
    info,
  });
  const opened = await receiver.open(sealed.slice(32), aad);
  expect(new Uint8Array(opened)).toEqual(plaintext);
});

test('a sealed message opens only with its key, info, aad and bytes', () => {
  const { privateKey, publicKey } = nodeCrypto.x25519.generate();
  const sealed = sealTo(nodeCrypto, publicKey, { info, aad }, plaintext);
  const flipped = sealed.map((byte, at) => (at === 40 ? byte ^ 1 : byte));
  const stranger = nodeCrypto.x25519.generate().privateKey;

  expect(openWith(webCrypto, privateKey, { info, aad }, sealed)).toStrictEqual(plaintext);
  expect(openWith(nodeCrypto, stranger, { info, aad }, sealed)).toBeUndefined();
  expect(openWith(nodeCrypto, privateKey, { info: aad, aad }, sealed)).toBeUndefined();
  expect(openWith(nodeCrypto, privateKey, { info }, sealed)).toBeUndefined();
  expect(openWith(nodeCrypto, privateKey, { info, aad }, flipped)).toBeUndefined();
  expect(openWith(nodeCrypto, privateKey, { info, aad }, sealed.subarray(0, 31))).toBeUndefined();
  const zeroEnc = concat(new Uint8Array(32), sealed.subarray(32));
  expect(openWith(nodeCrypto, privateKey, { info, aad }, zeroEnc)).toBeUndefined();
});

test('nothing is sealed to what is no key', () => {
  expect(() => sealTo(nodeCrypto, new Uint8Array(32), { info }, plaintext)).toThrow('X25519');
  expect(() => sealTo(nodeCrypto, new Uint8Array(3), { info }, plaintext)).toThrow('X25519');
});

test.each(doors)('%s understands another implementation of P-256', async (_, crypto) => {
  const theirSuite = new CipherSuite({
    kem: new DhkemP256HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Aes128Gcm(),
  });
  const hpke = new Hpke(crypto, { kem: 'P-256', aead: 'AES-128-GCM' });
  const ikm = utf8('another seed, also of some bytes');
  const { privateKey, publicKey } = hpke.deriveKeyPair(ikm);
  const theirs = await theirSuite.kem.deriveKeyPair(ikm);
  const theirKey = new Uint8Array(await theirSuite.kem.serializePublicKey(theirs.publicKey));
  expect(theirKey).toEqual(publicKey);

  const { enc, context } = hpke.setupSender(publicKey, info);
  const receiver = await theirSuite.createRecipientContext({
    recipientKey: theirs.privateKey,
    enc,
    info,
  });
  const opened = await receiver.open(context.seal(aad, plaintext), aad);
  expect(new Uint8Array(opened)).toEqual(plaintext);

  const sender = await theirSuite.createSenderContext({
    recipientPublicKey: theirs.publicKey,
    info,
  });
  const ciphertext = new Uint8Array(await sender.seal(plaintext, aad));
  const opener = hpke.setupReceiver(privateKey, new Uint8Array(sender.enc), info);
  expect(opener?.open(aad, ciphertext)).toStrictEqual(plaintext);
  expect(hpke.setupReceiver(privateKey, new Uint8Array(65), info)).toBeUndefined();
  expect(() => hpke.setupSender(new Uint8Array(65), info)).toThrow('P-256');
});

test('the doors understand each other by ChaCha20-Poly1305', () => {
  const suite = { kem: 'X25519', aead: 'ChaCha20-Poly1305' } as const;
  const { privateKey, publicKey } = webCrypto.x25519.generate();
  const { enc, context } = new Hpke(webCrypto, suite).setupSender(publicKey, info);
  const opener = new Hpke(nodeCrypto, suite).setupReceiver(privateKey, enc, info);
  expect(opener?.open(aad, context.seal(aad, plaintext))).toStrictEqual(plaintext);
  const aes = new Hpke(nodeCrypto, X25519_AES128).setupReceiver(privateKey, enc, info);
  expect(aes?.open(aad, context.seal(aad, plaintext))).toBeUndefined();
});
