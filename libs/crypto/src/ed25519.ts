import { toHex } from '@roost/core/bytes';

/**
 * True for public keys that no honest signer has: points of small order, under which one signature
 * holds for many messages, and encodings of y ≥ 2^255 − 19 (RFC 8032 §5.1.3). OpenSSL takes both, the
 * library of the other door neither; the doors must agree.
 */
export function isWeakEd25519Key(publicKey: Uint8Array): boolean {
  const y = Uint8Array.from(publicKey);
  y[31] = (y[31] ?? 0) & 0x7f;
  return SMALL_ORDER.has(toHex(y)) || isAboveField(y);
}

/** The y of the points whose order divides 8, the sign bit apart. */
const SMALL_ORDER = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

function isAboveField(y: Uint8Array): boolean {
  return (y[0] ?? 0) >= 0xed && y[31] === 0x7f && y.subarray(1, 31).every((byte) => byte === 0xff);
}
