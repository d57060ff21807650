import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { concat, fromHex, fromUtf8, toHex } from '@roost/core/bytes';
import type { Crypto } from '@roost/crypto/crypto';
import { nodeCrypto } from '@roost/crypto/node';
import { webCrypto } from '@roost/crypto/web';
import {
  decodeBatchRequest,
  decodeBatchResponse,
  decodeTokenRequest,
  encodeBatchRequest,
  encodeBatchResponse,
  encodeTokenRequest,
} from './batch.ts';
import { blindBatch, finishBatch } from './blind.ts';
import {
  authenticateHeader,
  challengeDigest,
  decodeChallenge,
  encodeChallenge,
  parseChallenges,
} from './challenge.ts';
import { blindSign, importIssuerKey } from './node/issuer.ts';
import { importPublicKey, verifyToken } from './node/verifier.ts';
import { authenticatorInput, decodeToken, encodeToken, tokenKeyId } from './token.ts';

/**
 * The published vectors, byte for byte. Entries of type 0x0001 (VOPRF over P-384), which Roost does
 * not issue, are skipped by name: the last tests say which they are.
 */
interface Issuance {
  readonly type?: string;
  readonly skS: string;
  readonly pkS: string;
  readonly token_challenge: string;
  readonly nonce: string;
  readonly blind: string;
  readonly salt: string;
  readonly token: string;
}

interface Exchange {
  readonly token_request: string;
  readonly token_response: string;
}

const single = read<Issuance & Exchange>('pub_verif_rfc9578.go.json');
const batches = read<Exchange & { issuance: Issuance[] }>('generic_batched_tokens_v6_go.json');
const headers = read<Record<string, string | number>>('auth_scheme_header_v14.json');
const inputs = read<Record<string, string>>('auth_scheme_token_v14.json');

const doors: readonly (readonly [string, Crypto])[] = [
  ['node', nodeCrypto],
  ['web', webCrypto],
];

function read<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
}

function hex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error('the vector is not hex');
  return bytes;
}

/** The issuance of one token as the vector has it: client, issuer, client, verifier. */
function issue(crypto: Crypto, vector: Issuance) {
  const pem = fromUtf8(hex(vector.skS));
  const key = importIssuerKey(createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' }));
  expect(toHex(key.publicKey)).toBe(vector.pkS);

  const challenge = decodeChallenge(hex(vector.token_challenge));
  expect(toHex(encodeChallenge(challenge))).toBe(vector.token_challenge);

  const blind = hex(vector.blind);
  const randomness = { nonce: hex(vector.nonce), salt: hex(vector.salt), blind };
  const { requests, state } = blindBatch(crypto, key.publicKey, challenge, [randomness]);
  const blindSignature = blindSign(key, requests);
  const [token = new Uint8Array(0)] = finishBatch(crypto, state, blindSignature);
  expect(toHex(token)).toBe(vector.token);
  expect(verifyToken(importPublicKey(key.publicKey), token)).toBe(true);
  expect(encodeToken(decodeToken(token))).toStrictEqual(token);

  const truncatedTokenKeyId = tokenKeyId(crypto, key.publicKey)[31] ?? 0;
  return { request: { truncatedTokenKeyId, blinded: requests }, blindSignature };
}

for (const [door, crypto] of doors) {
  test.each(single.map((vector, at) => [at, vector] as const))(
    `RFC 9578 publicly verifiable token %i is issued and redeemed, ${door}`,
    (_, vector) => {
      const { request, blindSignature } = issue(crypto, vector);
      expect(toHex(encodeTokenRequest(request))).toBe(vector.token_request);
      expect(decodeTokenRequest(hex(vector.token_request))).toEqual(request);
      expect(toHex(blindSignature)).toBe(vector.token_response);
    },
  );
}

test.each([1, 3])('generic batch %i, all of type 0x0002, is issued and redeemed', (at) => {
  const { issuance = [], token_request = '', token_response = '' } = batches[at] ?? {};
  const made = issuance.map((vector) => issue(nodeCrypto, vector));
  const requests = made.map(({ request }) => request);
  const signatures = made.map(({ blindSignature }) => blindSignature);

  expect(toHex(encodeBatchRequest(requests))).toBe(token_request);
  expect(decodeBatchRequest(hex(token_request))).toEqual(requests);
  expect(toHex(encodeBatchResponse(signatures))).toBe(token_response);
  expect(decodeBatchResponse(hex(token_response))).toEqual(signatures);
});

test('the entry of type 0x0002 in the mixed batch is issued as its part of the bytes', () => {
  const { issuance = [], token_request = '', token_response = '' } = batches[4] ?? {};
  const vector = issuance.find(({ type }) => type === '0002');
  if (vector === undefined) throw new Error('the vector has no such entry');
  const { request, blindSignature } = issue(nodeCrypto, vector);
  const response = concat(Uint8Array.of(1, 0, 2), blindSignature);

  expect(token_request.endsWith(toHex(encodeTokenRequest(request)))).toBe(true);
  expect(token_response.endsWith(toHex(response))).toBe(true);
  expect(() => decodeBatchRequest(hex(token_request))).toThrow('token type 1 is not issued here');
});

test.each(inputs.map((vector) => [vector['comment'] ?? '', vector] as const))(
  'RFC 9577 token input: %s',
  (_, vector) => {
    const field = (name: string) => hex(vector[name] ?? '');
    const challenge = {
      tokenType: 2,
      issuerName: fromUtf8(field('issuer_name')),
      redemptionContext: field('redemption_context'),
      originInfo: fromUtf8(field('origin_info')),
    };
    const input = authenticatorInput({
      nonce: field('nonce'),
      challengeDigest: challengeDigest(nodeCrypto, challenge),
      tokenKeyId: field('token_key_id'),
    });
    expect(toHex(input)).toBe(vector['token_authenticator_input']);
    expect(decodeChallenge(encodeChallenge(challenge))).toEqual(challenge);
  },
);

test.each(headers.map((vector, at) => [at, vector] as const))(
  'RFC 9577 www-authenticate header %i reads as its challenges, unknown parameters ignored',
  (_, vector) => {
    const text = (name: string) => hex(String(vector[name]));
    const expected = [0, 1]
      .filter((at) => `token-type-${at}` in vector)
      .map((at) => ({
        challenge: text(`token-challenge-${at}`),
        tokenKey: text(`token-key-${at}`),
        maxAgeSeconds: vector[`max-age-${at}`],
      }));
    const offers = parseChallenges(String(vector['WWW-Authenticate']));
    expect(offers).toEqual(expected);
    expect(offers.map(({ challenge }) => decodeChallenge(challenge).tokenType)).toEqual(
      [0, 1].map((at) => vector[`token-type-${at}`]).filter((type) => type !== undefined),
    );
    expect(parseChallenges(offers.map(authenticateHeader).join(', '))).toEqual(offers);
  },
);

test('type 0x0001: skipped by name', () => {
  const skipped = batches.flatMap(({ issuance }, batch) =>
    issuance.flatMap(({ type }, at) => (type === '0001' ? [`batch ${batch}, token ${at}`] : [])),
  );
  expect(skipped).toEqual([
    'batch 0, token 0',
    'batch 2, token 0',
    'batch 2, token 1',
    'batch 4, token 0',
  ]);
  expect(single.every(({ token_request }) => token_request.startsWith('0002'))).toBe(true);
  expect(batches.length).toBe(5);
});
