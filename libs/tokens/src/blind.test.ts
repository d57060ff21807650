import { constants, sign } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { concat } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { webCrypto } from '@roost/crypto/web';
import { blindBatch, finishBatch, prepareBatch } from './blind.ts';
import { challengeDigest, newChallenge } from './challenge.ts';
import {
  blindSign,
  blindSignBatch,
  exportIssuerKey,
  generateIssuerKey,
  importIssuerKey,
} from './node/issuer.ts';
import { importPublicKey, verifyToken } from './node/verifier.ts';
import { decodeToken, parsePublicKey, tokenKeyId } from './token.ts';

const key = await generateIssuerKey();
const otherKey = await generateIssuerKey();
const verifier = importPublicKey(key.publicKey);
const challenge = newChallenge('example.org');

test('a batch gives as many tokens, each its own, bound to the challenge and the key', () => {
  const { requests, state } = prepareBatch(webCrypto, key.publicKey, challenge, 5);
  const tokens = finishBatch(nodeCrypto, state, blindSignBatch(key, requests));

  expect(requests.length).toBe(5 * 256);
  expect(tokens.map((token) => verifyToken(verifier, token))).toEqual(Array(5).fill(true));
  expect(new Set(tokens.map(String)).size).toBe(5);
  for (const token of tokens.map(decodeToken)) {
    expect(token.challengeDigest).toStrictEqual(challengeDigest(nodeCrypto, challenge));
    expect(token.tokenKeyId).toStrictEqual(tokenKeyId(nodeCrypto, key.publicKey));
  }
});

test('a pending batch survives a structured clone', () => {
  const { requests, state } = prepareBatch(nodeCrypto, key.publicKey, challenge, 1);
  const [token] = finishBatch(nodeCrypto, structuredClone(state), blindSign(key, requests));
  expect(token !== undefined && verifyToken(verifier, token)).toBe(true);
});

test('two blinds of one token look different to the issuer and give the same token', () => {
  const nonce = new Uint8Array(32);
  const salt = new Uint8Array(48);
  const [first, second] = [7, 8].map((byte) => {
    const randomness = { nonce, salt, blind: new Uint8Array(256).fill(byte, 1) };
    const { requests, state } = blindBatch(nodeCrypto, key.publicKey, challenge, [randomness]);
    return { requests, token: finishBatch(nodeCrypto, state, blindSign(key, requests))[0] };
  });
  expect(first?.requests).not.toEqual(second?.requests);
  expect(first?.token).toStrictEqual(second?.token);
});

test('a batch with a single bad signature is refused', () => {
  const { requests, state } = prepareBatch(nodeCrypto, key.publicKey, challenge, 2);
  const good = blindSignBatch(key, requests);
  const finish = (response: Uint8Array) => () => finishBatch(nodeCrypto, state, response);
  const refused = expect.objectContaining({ reason: 'TOKEN_INVALID' });

  const foreign = concat(good.subarray(0, 256), safely(requests.subarray(256)));
  expect(finish(foreign)).toThrow(refused);
  expect(finish(concat(good.subarray(256), good.subarray(0, 256)))).toThrow(refused);
  expect(finish(good.subarray(0, 511))).toThrow(refused);
  expect(finish(new Uint8Array(512).fill(0xff))).toThrow(refused);
  expect(finish(good)).not.toThrow();
});

/** Signed with another key; in the rare case that the number is too large for it, unsigned. */
function safely(blinded: Uint8Array): Uint8Array {
  try {
    return blindSign(otherKey, blinded);
  } catch {
    return blinded;
  }
}

test('the issuer refuses numbers that are too short, too long or not below its modulus', () => {
  const refused = expect.objectContaining({ reason: 'MALFORMED' });
  const modulus = parsePublicKey(key.publicKey);
  expect(() => blindSign(key, new Uint8Array(255).fill(1))).toThrow(refused);
  expect(() => blindSign(key, new Uint8Array(257).fill(1))).toThrow(refused);
  expect(() => blindSign(key, modulus)).toThrow(refused);
  expect(() => blindSign(key, new Uint8Array(256).fill(0xff))).toThrow(refused);
  expect(() => blindSignBatch(key, new Uint8Array(300).fill(1))).toThrow(refused);
  expect(() => blindSignBatch(key, new Uint8Array(0))).toThrow(refused);

  const below = Uint8Array.from(modulus);
  below[255] = (below[255] ?? 0) - 1;
  expect(blindSign(key, below)).toStrictEqual(below);
});

test('a token verifies as it is and in no other form', () => {
  const { requests, state } = prepareBatch(nodeCrypto, key.publicKey, challenge, 1);
  const [token = new Uint8Array(0)] = finishBatch(nodeCrypto, state, blindSign(key, requests));
  const flipped = (at: number) => token.map((byte, index) => (index === at ? byte ^ 1 : byte));

  expect(verifyToken(verifier, token)).toBe(true);
  expect([0, 1, 2, 97, 98, 353].map((at) => verifyToken(verifier, flipped(at)))).toEqual(
    Array(6).fill(false),
  );
  expect(verifyToken(verifier, token.subarray(1))).toBe(false);
  expect(verifyToken(verifier, concat(token, Uint8Array.of(0)))).toBe(false);
  expect(verifyToken(importPublicKey(otherKey.publicKey), token)).toBe(false);
});

test('a token whose salt has another length does not verify', () => {
  const input = crypto.getRandomValues(new Uint8Array(98)).fill(0, 0, 1).fill(2, 1, 2);
  const signedWith = (saltLength: number) => {
    const pss = { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
    return concat(input, sign('sha384', input, pss));
  };
  expect(verifyToken(verifier, signedWith(48))).toBe(true);
  expect(verifyToken(verifier, signedWith(32))).toBe(false);
});

test('a blind that is zero or not below the modulus is drawn again', () => {
  const draws = [new Uint8Array(256), new Uint8Array(256).fill(0xff), new Uint8Array(256).fill(1)];
  const random = (size: number) =>
    (size === 256 ? draws.shift() : undefined) ?? nodeCrypto.random(size);
  const { requests, state } = prepareBatch({ ...nodeCrypto, random }, key.publicKey, challenge, 1);
  expect(draws).toEqual([]);
  expect(finishBatch(nodeCrypto, state, blindSign(key, requests)).length).toBe(1);
});

test('an issuer key is the same after export and import', () => {
  const again = importIssuerKey(exportIssuerKey(key));
  expect(again.publicKey).toStrictEqual(key.publicKey);
  const message = new Uint8Array(256).fill(1);
  expect(blindSign(again, message)).toStrictEqual(blindSign(key, message));
});

test('a public key that differs in any framing byte is refused', () => {
  const flipped = (at: number) => key.publicKey.map((byte, index) => byte ^ (index === at ? 1 : 0));
  for (const at of [0, 3, 20, 38, 76, 79, 80, 336, 337, 341]) {
    expect(() => parsePublicKey(flipped(at))).toThrow('RFC 9578');
  }
  expect(() => parsePublicKey(key.publicKey.subarray(0, 341))).toThrow('RFC 9578');
  expect(() => parsePublicKey(concat(key.publicKey, new Uint8Array(1)))).toThrow('RFC 9578');
  const short = key.publicKey.map((byte, index) => (index === 81 ? byte & 0x7f : byte));
  expect(() => parsePublicKey(short)).toThrow('RFC 9578');
});
