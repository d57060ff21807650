import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { assert } from '@roost/core/assert';
import type { Crypto } from '../crypto.ts';
import { RecentKeys } from './recent-keys.ts';

/** P-256 by `node:crypto`. Keys come and go as bytes; the last used ones stay imported. */
export const p256: Crypto['p256'] = {
  generate() {
    const pair = createECDH(CURVE);
    const publicKey = Uint8Array.from(pair.generateKeys());
    const privateKey = new Uint8Array(PRIVATE_BYTES);
    const scalar = pair.getPrivateKey();
    // Leading zeros are left out of the scalar.
    privateKey.set(scalar, PRIVATE_BYTES - scalar.length);
    return { privateKey, publicKey };
  },
  publicKey: publicKeyOf,
  sign(privateKey, message) {
    const key = importPrivate(privateKey);
    return Uint8Array.from(sign('sha256', message, { key, dsaEncoding: 'der' }));
  },
  verify(publicKey, message, signature) {
    const key = importPublic(publicKey);
    return key !== undefined && verify('sha256', message, { key, dsaEncoding: 'der' }, signature);
  },
  dh(privateKey, publicKey) {
    if (!isPoint(publicKey)) return undefined;
    const own = withPrivate(privateKey);
    try {
      return own === undefined ? undefined : Uint8Array.from(own.computeSecret(publicKey));
    } catch {
      // OpenSSL refuses what is not on the curve.
      return undefined;
    }
  },
};

const CURVE = 'prime256v1';
const PRIVATE_BYTES = 32;
const POINT_BYTES = 65;
const PUBLIC_KEYS_MAX = 8192;
const PRIVATE_KEYS_MAX = 256;
const publicKeys = new RecentKeys(PUBLIC_KEYS_MAX);
const privateKeys = new RecentKeys(PRIVATE_KEYS_MAX);

/** RFC 9420 §5.1 has uncompressed points only; OpenSSL would take others. */
function isPoint(publicKey: Uint8Array): boolean {
  return publicKey.length === POINT_BYTES && publicKey[0] === 4;
}

function withPrivate(privateKey: Uint8Array) {
  if (privateKey.length !== PRIVATE_BYTES) return undefined;
  const own = createECDH(CURVE);
  try {
    own.setPrivateKey(privateKey);
    return own;
  } catch {
    // OpenSSL refuses zero and what is not below the order of the curve.
    return undefined;
  }
}

function publicKeyOf(privateKey: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const own = withPrivate(privateKey);
  return own === undefined ? undefined : Uint8Array.from(own.getPublicKey());
}

function importPublic(raw: Uint8Array): KeyObject | undefined {
  if (!isPoint(raw)) return undefined;
  const name = base64url(raw);
  const known = publicKeys.get(name);
  if (known !== undefined) return known;
  try {
    const key = createPublicKey({ key: coordinates(raw), format: 'jwk' });
    publicKeys.set(name, key);
    return key;
  } catch {
    // OpenSSL refuses what is not on the curve.
    return undefined;
  }
}

function importPrivate(raw: Uint8Array): KeyObject {
  const d = base64url(raw);
  const known = privateKeys.get(d);
  if (known !== undefined) return known;
  const point = publicKeyOf(raw);
  assert(point !== undefined, 'a private key is a scalar of 32 bytes');
  const key = createPrivateKey({ key: { ...coordinates(point), d }, format: 'jwk' });
  privateKeys.set(d, key);
  return key;
}

function coordinates(point: Uint8Array) {
  const [x, y] = [base64url(point.subarray(1, 33)), base64url(point.subarray(33))];
  return { kty: 'EC', crv: 'P-256', x, y };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}
