import { toHex } from '@roost/core/bytes';

/**
 * Whether somebody can encrypt to a key (RFC 9180 §7.1.4): who brings a leaf with one to which
 * nobody can would keep everybody else from committing.
 */
export function isUsableKey(suiteName: string, key: Uint8Array): boolean {
  if (suiteName.includes('X25519')) return !isOfLowOrder(key);
  if (suiteName.includes('DHKEMP256')) return key[0] === UNCOMPRESSED && isOnP256(key);
  if (suiteName.includes('DHKEMP')) return key[0] === UNCOMPRESSED;
  return true;
}

/** SEC 1 §2.3.3. */
const UNCOMPRESSED = 4;

/** Every private key makes the same shared secret of these, which X25519 must refuse: all zeros. */
function isOfLowOrder(key: Uint8Array): boolean {
  // The topmost bit does not count (RFC 7748 §5). A path has thousands of keys: most end here.
  const last = (key[31] ?? 0) & 0x7f;
  return LOW_ORDER_LAST.has(last) && LOW_ORDER.has(toHex(key.with(31, last)));
}

const LOW_ORDER_LAST: ReadonlySet<number> = new Set([0x00, 0x57, 0x7f]);
const LOW_ORDER: ReadonlySet<string> = new Set([
  `00${'00'.repeat(31)}`,
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

/** y² = x³ - 3x + b over the prime field of P-256 (FIPS 186-4 D.1.2.3), and no coordinate twice. */
function isOnP256(key: Uint8Array): boolean {
  const x = BigInt(`0x${toHex(key.subarray(1, 33))}`);
  const y = BigInt(`0x${toHex(key.subarray(33, 65))}`);
  if (x >= P256_P || y >= P256_P) return false;
  return (y * y - (x * x * x - 3n * x + P256_B)) % P256_P === 0n;
}

const P256_P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
