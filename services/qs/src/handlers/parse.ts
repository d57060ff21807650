import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import type { CallContext } from '@roost/rpc/service';

const SEQUENCE_MAX = 2n ** 63n - 1n;

/** A field of exactly so many bytes, as a copy: a view would keep the whole request. */
export function parseBytes(bytes: Uint8Array, size: number, field: string): Uint8Array {
  if (bytes.length !== size) throw malformed(field, `is not ${size} bytes long`);
  return Uint8Array.from(bytes);
}

/** A number that PostgreSQL can hold. */
export function parseCount(value: bigint, field: string): bigint {
  if (value > SEQUENCE_MAX) throw malformed(field, `is larger than ${SEQUENCE_MAX}`);
  return value;
}

export function assertCount(count: number, countMax: number, field: string): void {
  if (count > countMax) throw malformed(field, `has more than ${countMax} entries`);
}

export function assertDistinct(values: readonly Uint8Array[], field: string): void {
  if (new Set(values.map(toHex)).size < values.length) {
    throw malformed(field, 'holds the same thing twice');
  }
}

/** The nonce of a signed request, for methods that refuse to do the same twice. */
export function callingNonce({ proof }: CallContext): Uint8Array {
  assert(proof !== undefined, 'the rule of this method asks for a signature');
  return proof.nonce;
}
