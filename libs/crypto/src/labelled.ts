import { encode } from '@roost/core/tls';
import type { Crypto } from './crypto.ts';

const PREFIX = 'Roost 1.0 ';

/**
 * Signs with Ed25519 in the shape of RFC 9420 §5.1.2, over
 * `struct { opaque label<V> = "Roost 1.0 " + label; opaque content<V>; }`, so that a signature made
 * for one purpose holds for no other.
 */
export function signWithLabel(
  crypto: Crypto,
  privateKey: Uint8Array,
  label: string,
  content: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return crypto.ed25519.sign(privateKey, signContent(label, content));
}

/** Whether `signature` is one of `signWithLabel` with the same label; false for malformed keys. */
// oxlint-disable-next-line max-params -- the parameters of VerifyWithLabel in RFC 9420 and the door
export function verifyWithLabel(
  crypto: Crypto,
  publicKey: Uint8Array,
  label: string,
  content: Uint8Array,
  signature: Uint8Array,
): boolean {
  return crypto.ed25519.verify(publicKey, signContent(label, content), signature);
}

function signContent(label: string, content: Uint8Array): Uint8Array {
  return encode((writer) => writer.text(PREFIX + label).opaque(content));
}
