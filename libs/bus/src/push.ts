import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, padTo, sealRandom, unpad } from '@roost/crypto/sealed';

/** Where a client hears that something came: the subscription of RFC 8030 and RFC 8291. */
export interface PushRegistration {
  readonly endpoint: string;
  /** P-256, an uncompressed point of 65 bytes. */
  readonly p256dh: Uint8Array;
  /** 16 bytes. */
  readonly auth: Uint8Array;
}

export const REGISTRATION_KEY_BYTES = 32;
const PADDED_BYTES = 1024;
/** All of one length: it tells nothing of the provider. */
export const SEALED_REGISTRATION_BYTES = PADDED_BYTES + 28;
export const WRAPPED_KEY_BYTES = REGISTRATION_KEY_BYTES + 28;

const VERSION = 1;
const ENDPOINT_BYTES_MAX = 900;
const NOTHING = new Uint8Array(0);

/** Seals where pushes go; the QS keeps it and cannot open it. */
export function sealRegistration(
  crypto: Crypto,
  key: Uint8Array,
  { endpoint, p256dh, auth }: PushRegistration,
): Uint8Array {
  const sizes = p256dh.length === 65 && auth.length === 16;
  if (!sizes || new TextEncoder().encode(endpoint).length > ENDPOINT_BYTES_MAX) {
    throw new Failure('MALFORMED', 'this is no push subscription that can be kept');
  }
  const content = encode((writer) => writer.u16(VERSION).text(endpoint).fixed(p256dh).fixed(auth));
  return sealRandom(crypto, key, NOTHING, padTo(content, PADDED_BYTES));
}

/** `undefined` where it was sealed with another key, or is none. */
export function openRegistration(
  crypto: Crypto,
  key: Uint8Array,
  sealed: Uint8Array,
): PushRegistration | undefined {
  const padded = openSealed(crypto, key, NOTHING, sealed);
  if (padded === undefined) return undefined;
  try {
    return decodeAll(unpad(padded), 'PushRegistration', (reader) => {
      reader.version(VERSION);
      const endpoint = reader.text(ENDPOINT_BYTES_MAX);
      return { endpoint, p256dh: reader.fixed(65), auth: reader.fixed(16) };
    });
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/** Wraps the key of a registration for one handle: only what comes with its push key opens it. */
export function wrapRegistrationKey(
  crypto: Crypto,
  { handle, pushKey }: { readonly handle: Uint8Array; readonly pushKey: Uint8Array },
  key: Uint8Array,
): Uint8Array {
  assert(key.length === REGISTRATION_KEY_BYTES, 'the key of a registration has 32 bytes');
  return sealRandom(crypto, pushKey, crypto.sha256(handle), key);
}

export function unwrapRegistrationKey(
  crypto: Crypto,
  { handleHash, pushKey }: { readonly handleHash: Uint8Array; readonly pushKey: Uint8Array },
  wrapped: Uint8Array,
): Uint8Array | undefined {
  return openSealed(crypto, pushKey, handleHash, wrapped);
}
