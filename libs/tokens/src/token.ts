import { concat, equal, fromHex } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';

/** Blind RSA-2048 with SHA-384 and PSS (RFC 9578 §8.2.2): the one type that Roost issues. */
export const TOKEN_TYPE = 0x0002;
export const MODULUS_BYTES = 256;
export const AUTHENTICATOR_INPUT_BYTES = 98;
export const TOKEN_BYTES = AUTHENTICATOR_INPUT_BYTES + MODULUS_BYTES;

/** What the authenticator of a token signs (RFC 9577 §2.2), 32 bytes each. */
export interface TokenInput {
  readonly nonce: Uint8Array;
  readonly challengeDigest: Uint8Array;
  readonly tokenKeyId: Uint8Array;
}

export interface Token extends TokenInput {
  readonly authenticator: Uint8Array;
}

/** The first 98 bytes of a token, which its authenticator signs. */
export function authenticatorInput(input: TokenInput): Uint8Array<ArrayBuffer> {
  return concat(
    Uint8Array.of(TOKEN_TYPE >> 8, TOKEN_TYPE & 0xff),
    input.nonce,
    input.challengeDigest,
    input.tokenKeyId,
  );
}

export function encodeToken(token: Token): Uint8Array<ArrayBuffer> {
  return concat(authenticatorInput(token), token.authenticator);
}

/** Refuses other types and sizes; whether the signature holds is for the verifier. */
export function decodeToken(bytes: Uint8Array): Token {
  const type = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  if (bytes.length !== TOKEN_BYTES || type !== TOKEN_TYPE) {
    throw new Failure('TOKEN_INVALID', `a token is ${TOKEN_BYTES} bytes of type ${TOKEN_TYPE}`);
  }
  return {
    nonce: bytes.slice(2, 34),
    challengeDigest: bytes.slice(34, 66),
    tokenKeyId: bytes.slice(66, 98),
    authenticator: bytes.slice(98),
  };
}

/** The id of an issuer key: SHA-256 of its public key as printed below. */
export function tokenKeyId(crypto: Crypto, publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return crypto.sha256(publicKey);
}

/**
 * The public key of an issuer: an RSASSA-PSS SubjectPublicKeyInfo with SHA-384, MGF1 and a salt of 48,
 * whose hash parameters are absent. OpenSSL writes them as NULL, which would give another key id, so
 * that we print and parse these 342 bytes by hand.
 */
export function printPublicKey(modulus: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!isModulus(modulus)) throw malformed('public_key', 'has no odd modulus of 2,048 bits');
  return concat(BEFORE_MODULUS, modulus, EXPONENT);
}

/** The modulus of an issuer's public key, 256 bytes. Refuses whatever else is in any byte. */
export function parsePublicKey(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  const end = BEFORE_MODULUS.length + MODULUS_BYTES;
  const modulus = publicKey.slice(BEFORE_MODULUS.length, end);
  const isFramed =
    equal(publicKey.subarray(0, BEFORE_MODULUS.length), BEFORE_MODULUS) &&
    equal(publicKey.subarray(end), EXPONENT);
  if (!isFramed || !isModulus(modulus)) {
    throw malformed('public_key', 'is not an RSASSA-PSS key of 2,048 bits as RFC 9578 §6.5 has it');
  }
  return modulus;
}

function isModulus(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0;
  const last = bytes.at(-1) ?? 0;
  return bytes.length === MODULUS_BYTES && first >= 0x80 && (last & 1) === 1;
}

/** SEQUENCE, AlgorithmIdentifier (id-RSASSA-PSS), BIT STRING, SEQUENCE, INTEGER and its zero byte. */
const BEFORE_MODULUS = constant(
  '30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d01' +
    '0108300b0609608648016503040202a2030201300382010f003082010a0282010100',
);

/** INTEGER 65537. */
const EXPONENT = constant('0203010001');

function constant(hex: string): Uint8Array<ArrayBuffer> {
  return fromHex(hex) ?? new Uint8Array(0);
}
