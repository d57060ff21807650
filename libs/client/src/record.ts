import { assert } from '@roost/core/assert';
import { fromBase64url, fromUtf8, toBase64url, utf8 } from '@roost/core/bytes';

/**
 * How records lie in the local store: JSON, with bytes and bigints marked. Nobody else reads them
 * and nothing signs them, so that fields may come and go without a codec for each.
 */
export function encodeRecord(value: object): Uint8Array<ArrayBuffer> {
  return utf8(JSON.stringify(value, mark));
}

/** Reads what `encodeRecord` wrote; the store is our own, so that its shape is trusted. */
export function decodeRecord<T extends object>(bytes: Uint8Array): T {
  return JSON.parse(fromUtf8(bytes), unmark) as T;
}

const BYTES = '$bytes';
const BIGINT = '$bigint';

function mark(_key: string, value: unknown): unknown {
  // A Buffer would have turned itself into a list of numbers before we see it.
  if (value instanceof Uint8Array) return { [BYTES]: toBase64url(value) };
  if (typeof value === 'bigint') return { [BIGINT]: value.toString() };
  return value;
}

function unmark(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (BYTES in value && typeof value[BYTES] === 'string') {
    const bytes = fromBase64url(value[BYTES]);
    assert(bytes !== undefined, 'bytes in a record are base64url');
    return bytes;
  }
  if (BIGINT in value && typeof value[BIGINT] === 'string') return BigInt(value[BIGINT]);
  return value;
}
