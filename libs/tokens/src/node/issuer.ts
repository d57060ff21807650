import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto';
import { promisify } from 'node:util';
import { assert } from '@roost/core/assert';
import { equal } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import { MODULUS_BYTES, printPublicKey } from '../token.ts';

/** A key that signs blindly; may be posted to a worker thread as it is. */
export interface IssuerKey {
  /** Of type `rsa`: one of type `rsa-pss` refuses the raw operation. */
  readonly privateKey: KeyObject;
  /** The 342 bytes whose hash is the key id. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
}

export async function generateIssuerKey(): Promise<IssuerKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: MODULUS_BYTES * 8,
    publicExponent: 65_537,
  });
  return issuerKey(privateKey);
}

/** PKCS#8 in DER: whoever stores it encrypts it. */
export function exportIssuerKey({ privateKey }: IssuerKey): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(privateKey.export({ format: 'der', type: 'pkcs8' }));
}

export function importIssuerKey(pkcs8: Uint8Array): IssuerKey {
  const { buffer, byteOffset, length } = pkcs8;
  const key = Buffer.from(buffer, byteOffset, length);
  return issuerKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
}

/**
 * BlindSign of RFC 9474 §4.3: refuses what is not a number below the modulus, and answers nothing
 * that does not give the number back (a fault in the private operation would betray the key).
 */
export function blindSign(
  { privateKey }: Pick<IssuerKey, 'privateKey'>,
  blinded: Uint8Array,
): Uint8Array<ArrayBuffer> {
  // OpenSSL would take shorter ones.
  if (blinded.length !== MODULUS_BYTES) {
    throw malformed('blinded', `is not ${MODULUS_BYTES} bytes long`);
  }
  const raw = { key: privateKey, padding: constants.RSA_NO_PADDING };
  const signature = decrypt(raw, blinded);
  assert(equal(publicEncrypt(raw, signature), blinded), 'a blind signature gives its message back');
  return Uint8Array.from(signature);
}

/** Signs each 256 bytes of a batch, in a buffer of its own, which a worker may transfer. */
export function blindSignBatch(
  key: Pick<IssuerKey, 'privateKey'>,
  blinded: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (blinded.length === 0 || blinded.length % MODULUS_BYTES !== 0) {
    throw malformed('blinded', `is not a multiple of ${MODULUS_BYTES} bytes long`);
  }
  const signatures = new Uint8Array(blinded.length);
  for (let at = 0; at < blinded.length; at += MODULUS_BYTES) {
    signatures.set(blindSign(key, blinded.subarray(at, at + MODULUS_BYTES)), at);
  }
  return signatures;
}

function issuerKey(privateKey: KeyObject): IssuerKey {
  assert(privateKey.asymmetricKeyType === 'rsa', 'an issuer key is an RSA key');
  const { n, e } = createPublicKey(privateKey).export({ format: 'jwk' });
  assert(n !== undefined && e === 'AQAB', 'an issuer key has the exponent 65537');
  return { privateKey, publicKey: printPublicKey(Buffer.from(n, 'base64url')) };
}

function decrypt(raw: { key: KeyObject; padding: number }, blinded: Uint8Array): Buffer {
  try {
    return privateDecrypt(raw, blinded);
  } catch (error) {
    if (isTooLarge(error)) {
      throw malformed('blinded', 'is not below the modulus of the issuer key');
    }
    throw error;
  }
}

function isTooLarge(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error && error.code;
  return code === 'ERR_OSSL_RSA_DATA_TOO_LARGE_FOR_MODULUS';
}
