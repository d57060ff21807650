import { createPrivateKey } from 'node:crypto';
import { concat, fromUtf8, toHex } from '@roost/core/bytes';
import {
  holds,
  same,
  sameValue,
  vectorBytes,
  vectorKind,
  type VectorKind,
} from '@roost/core/vectors';
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
} from '../src/batch.ts';
import { blindBatch, finishBatch } from '../src/blind.ts';
import {
  authenticateHeader,
  challengeDigest,
  decodeChallenge,
  encodeChallenge,
  parseChallenges,
} from '../src/challenge.ts';
import { blindSign, importIssuerKey } from '../src/node/issuer.ts';
import { importPublicKey, verifyToken } from '../src/node/verifier.ts';
import { authenticatorInput, decodeToken, encodeToken, tokenKeyId } from '../src/token.ts';

/** The published vectors of Privacy Pass, byte for byte: client, issuer, client, verifier. */

/** One token. Files differ in what they call the keys and the type. */
interface Issuance {
  readonly type?: string;
  readonly token_type?: string;
  readonly skS?: string;
  readonly sk_s?: string;
  readonly pkS?: string;
  readonly pk_s?: string;
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

const PUBLIC_TYPE = '0002';
const OTHER_TYPES = new Map([
  ['0001', 'VOPRF over P-384'],
  ['0005', 'VOPRF over ristretto255'],
  ['da7a', 'partially blind RSA'],
]);

function notIssued(type: string): string {
  return `type 0x${type} (${OTHER_TYPES.get(type) ?? 'of no RFC'}) is not issued here`;
}

/** The type of what begins with it, in hex. */
function typeOf(hex: string): string {
  return hex.replace(/^0x/, '').slice(0, 4).toLowerCase();
}

/** The issuance of one token as the vector has it. */
function issue(crypto: Crypto, vector: Issuance) {
  const pem = fromUtf8(vectorBytes(vector.skS ?? vector.sk_s ?? ''));
  const key = importIssuerKey(createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' }));
  same('pkS', key.publicKey, vector.pkS ?? vector.pk_s ?? '');

  const challenge = decodeChallenge(vectorBytes(vector.token_challenge));
  same('token_challenge', encodeChallenge(challenge), vector.token_challenge);

  const blind = vectorBytes(vector.blind);
  const randomness = { nonce: vectorBytes(vector.nonce), salt: vectorBytes(vector.salt), blind };
  const { requests, state } = blindBatch(crypto, key.publicKey, challenge, [randomness]);
  const blindSignature = blindSign(key, requests);
  const [token = new Uint8Array(0)] = finishBatch(crypto, state, blindSignature);
  same('token', token, vector.token);
  holds('the token', verifyToken(importPublicKey(key.publicKey), token));
  same('the token encoded again', encodeToken(decodeToken(token)), vector.token);
  const forged = token.map((byte, at) => (at === token.length - 1 ? byte ^ 1 : byte));
  holds('its refusal', !verifyToken(importPublicKey(key.publicKey), forged));

  const truncatedTokenKeyId = tokenKeyId(crypto, key.publicKey)[31] ?? 0;
  return { request: { truncatedTokenKeyId, blinded: requests }, blindSignature };
}

const singleToken = vectorKind<Issuance & Exchange>(
  'RFC 9578 token',
  ['token_challenge', 'nonce', 'blind', 'token_request', 'token_response', 'token'],
  (vector) => {
    for (const crypto of [nodeCrypto, webCrypto]) {
      const { request, blindSignature } = issue(crypto, vector);
      same('token_request', encodeTokenRequest(request), vector.token_request);
      const decoded = decodeTokenRequest(vectorBytes(vector.token_request));
      same('the request encoded again', encodeTokenRequest(decoded), vector.token_request);
      same('token_response', blindSignature, vector.token_response);
    }
  },
  ({ token_request: request }) => {
    const type = typeOf(request);
    return type === PUBLIC_TYPE ? undefined : { whole: true, why: notIssued(type) };
  },
);

/** Tokens that are drawn together, which only VOPRFs do. */
const amortizedBatch = vectorKind<Exchange & Readonly<Record<'nonces' | 'tokens', unknown>>>(
  'amortized batch of tokens',
  ['nonces', 'tokens', 'token_request'],
  () => undefined,
  ({ token_request: request }) => ({ whole: true, why: notIssued(typeOf(request)) }),
);

interface Batch extends Exchange {
  readonly issuance: readonly Issuance[];
}

const genericBatch = vectorKind<Batch>(
  'generic batch of tokens',
  ['issuance', 'token_request', 'token_response'],
  (vector) => {
    const made = vector.issuance
      .filter((each) => issuanceType(each) === PUBLIC_TYPE)
      .map((each) => issue(nodeCrypto, each));
    if (made.length < vector.issuance.length) return checkParts(vector, made);

    const requests = made.map(({ request }) => request);
    const signatures = made.map(({ blindSignature }) => blindSignature);
    same('token_request', encodeBatchRequest(requests), vector.token_request);
    same('token_response', encodeBatchResponse(signatures), vector.token_response);
    const asked = decodeBatchRequest(vectorBytes(vector.token_request));
    same('the request encoded again', encodeBatchRequest(asked), vector.token_request);
    const answered = decodeBatchResponse(vectorBytes(vector.token_response));
    const again = encodeBatchResponse(answered.map((each) => each ?? new Uint8Array(0)));
    same('the response encoded again', again, vector.token_response);
  },
  ({ issuance }) => {
    const others = issuance.map(issuanceType).filter((type) => type !== PUBLIC_TYPE);
    const [type] = others;
    if (type === undefined) return undefined;
    const whole = others.length === issuance.length;
    const why = notIssued(type);
    return { whole, why: whole ? why : `${others.length} of its tokens: ${why}` };
  },
);

function issuanceType({ type, token_type }: Issuance): string {
  return typeOf(type ?? token_type ?? '');
}

/** Of a mixed batch, what is ours: the parts of the bytes, and the refusal of the whole. */
function checkParts(vector: Batch, made: readonly ReturnType<typeof issue>[]): void {
  for (const { request, blindSignature } of made) {
    const asked = toHex(encodeTokenRequest(request));
    holds('the part of token_request', vector.token_request.includes(asked));
    const answered = toHex(concat(Uint8Array.of(1, 0, 2), blindSignature));
    holds('the part of token_response', vector.token_response.includes(answered));
  }
  let refusal = '';
  try {
    decodeBatchRequest(vectorBytes(vector.token_request));
  } catch (error) {
    refusal = error instanceof Error ? error.message : '';
  }
  holds('the refusal of the other type', refusal.includes('token type 1 is not issued here'));
}

interface TokenInput {
  readonly token_type: string;
  readonly issuer_name: string;
  readonly redemption_context: string;
  readonly origin_info: string;
  readonly nonce: string;
  readonly token_key_id: string;
  readonly token_authenticator_input: string;
}

const tokenInput = vectorKind<TokenInput>(
  'RFC 9577 token input',
  ['token_type', 'issuer_name', 'redemption_context', 'token_authenticator_input'],
  (vector) => {
    const challenge = {
      tokenType: Number.parseInt(typeOf(vector.token_type), 16),
      issuerName: fromUtf8(vectorBytes(vector.issuer_name)),
      redemptionContext: vectorBytes(vector.redemption_context),
      originInfo: fromUtf8(vectorBytes(vector.origin_info)),
    };
    const input = authenticatorInput({
      nonce: vectorBytes(vector.nonce),
      challengeDigest: challengeDigest(nodeCrypto, challenge),
      tokenKeyId: vectorBytes(vector.token_key_id),
    });
    same('token_authenticator_input', input, vector.token_authenticator_input);
    const encoded = encodeChallenge(challenge);
    same('the challenge again', encodeChallenge(decodeChallenge(encoded)), toHex(encoded));
  },
  ({ token_type: type }) =>
    typeOf(type) === PUBLIC_TYPE ? undefined : { whole: true, why: notIssued(typeOf(type)) },
);

type Header = Readonly<Record<'WWW-Authenticate' | `token-${string}`, string>>;

const header = vectorKind<Header & Readonly<Record<string, string | number>>>(
  'RFC 9577 www-authenticate header',
  ['WWW-Authenticate', 'token-type-0', 'token-challenge-0'],
  (vector) => {
    const numbers = [0, 1, 2, 3].filter((at) => `token-type-${at}` in vector);
    const offers = parseChallenges(vector['WWW-Authenticate']);
    sameValue('the number of challenges', offers.length, numbers.length);
    for (const [index, at] of numbers.entries()) {
      const offer = offers[index];
      if (offer === undefined) continue;
      same('the challenge', offer.challenge, vector[`token-challenge-${at}`] ?? '');
      same('the key', offer.tokenKey ?? new Uint8Array(0), vector[`token-key-${at}`] ?? '');
      sameValue('max-age', offer.maxAgeSeconds, vector[`max-age-${at}`]);
      const type = decodeChallenge(offer.challenge).tokenType;
      sameValue('the type', type, vector[`token-type-${at}`]);
    }
    const again = parseChallenges(offers.map(authenticateHeader).join(', '));
    sameValue('the header again', again, offers);
  },
);

/** Every published kind of Privacy Pass vectors that is known here. */
export const tokenKinds: readonly VectorKind[] = [
  singleToken,
  amortizedBatch,
  genericBatch,
  tokenInput,
  header,
];
