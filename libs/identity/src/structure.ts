import { utf8 } from '@roost/core/bytes';
import type { Reader, Writer } from '@roost/core/tls';

/** What the structures of proto/README.md have in common. */

export const VERSION = 1;
export const KEY_BYTES = 32;
export const HASH_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** Longer than any payload with two ids and a name. */
export const PAYLOAD_BYTES_MAX = 4_096;
/** A whole credential or binding, with its request and signatures. */
export const CREDENTIAL_BYTES_MAX = 8_192;

/** Both ends belong to it; ms since 1970. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Whether something that was issued properly may be relied on now. */
export type Standing = 'valid' | 'early' | 'expired' | 'revoked';

/** Clocks differ: what was issued a moment ago by a clock ahead of ours is valid. */
const CLOCK_MS = 5 * 60_000;

export function standingAt({ notBefore, notAfter }: Validity, nowMs: number): Standing {
  if (nowMs + CLOCK_MS < notBefore) return 'early';
  return nowMs > notAfter ? 'expired' : 'valid';
}

export function writeValidity(writer: Writer, { notBefore, notAfter }: Validity): Writer {
  return writer.u64(BigInt(notBefore)).u64(BigInt(notAfter));
}

export function readValidity(reader: Reader): Validity {
  const validity = { notBefore: readTime(reader), notAfter: readTime(reader) };
  if (validity.notAfter < validity.notBefore) throw reader.refuse('it ends before it begins');
  return validity;
}

/** A time that fits into a number. */
export function readTime(reader: Reader): number {
  const time = reader.u64();
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) throw reader.refuse('a time is absurd');
  return Number(time);
}

/** The `info` of HPKE for a label. */
export function hpkeInfo(label: string): Uint8Array {
  return utf8(`Roost 1.0 ${label}`);
}
