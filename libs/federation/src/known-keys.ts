import { fromHex, toHex } from '@roost/core/bytes';
import { assert } from '@roost/core/assert';
import type { Crypto } from '@roost/crypto/crypto';

/** RFC 8032 §7.1: the examples that whoever tries out a library begins with. */
const EXAMPLES = [
  'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
  '278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e',
  'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
];

/** Points of small order, in all their encodings but the sign: where they are taken for keys, anybody signs. */
const SMALL_ORDER = [
  `01${'00'.repeat(31)}`,
  '00'.repeat(32),
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
];

let known: ReadonlySet<string> | undefined;

/**
 * Whether everybody can sign for a federation key: those of standards, those whose private halves are
 * patterns that stand where a key was to be put, and those that are no keys at all.
 */
export function isKnownKey(crypto: Crypto, publicKey: Uint8Array): boolean {
  known ??= new Set([
    ...EXAMPLES,
    ...SMALL_ORDER.flatMap((point) => [point, withSign(point)]),
    ...patterns().map((seed) => toHex(crypto.ed25519.publicKey(seed))),
  ]);
  return known.has(toHex(publicKey));
}

/** One byte again and again, and counting up or down. */
function* seeds(): Generator<Uint8Array> {
  for (let byte = 0; byte < 256; byte++) yield new Uint8Array(32).fill(byte);
  for (const first of [0, 1]) {
    const counted = Uint8Array.from({ length: 32 }, (_, at) => first + at);
    yield counted;
    yield counted.toReversed();
  }
}

function patterns(): Uint8Array[] {
  return [...seeds()];
}

function withSign(point: string): string {
  const bytes = fromHex(point);
  assert(bytes !== undefined && bytes.length === 32, 'a point is of 32 bytes');
  const last = bytes[31] ?? 0;
  bytes[31] = last | 0x80;
  return toHex(bytes);
}
