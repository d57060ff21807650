import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { AUTHENTICATOR_INPUT_BYTES, parsePublicKey, TOKEN_BYTES, TOKEN_TYPE } from '../token.ts';

/** The issuer key as OpenSSL holds it: to be kept, as parsing costs as much again as verifying. */
export function importPublicKey(publicKey: Uint8Array): KeyObject {
  const modulus = Buffer.from(parsePublicKey(publicKey)).toString('base64url');
  return createPublicKey({ key: { kty: 'RSA', n: modulus, e: 'AQAB' }, format: 'jwk' });
}

/** Whether the authenticator of a token holds; whether it was spent is not asked here. */
export function verifyToken(publicKey: KeyObject, token: Uint8Array): boolean {
  const type = ((token[0] ?? 0) << 8) | (token[1] ?? 0);
  if (token.length !== TOKEN_BYTES || type !== TOKEN_TYPE) return false;
  const key = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
  const authenticator = token.subarray(AUTHENTICATOR_INPUT_BYTES);
  return verify('sha384', token.subarray(0, AUTHENTICATOR_INPUT_BYTES), key, authenticator);
}
