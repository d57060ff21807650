import { assert } from '@roost/core/assert';
import { equal, fromBase64url, fromUtf8, toBase64url } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import { type Domain, DOMAIN_BYTES_MAX, parseDomain } from '@roost/core/ids';
import { DAY_MS, MINUTE_MS } from '@roost/core/time';
import { decodeAll, encode, type Reader } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { signWithLabel, verifyWithLabel } from '@roost/crypto/labelled';
import { HASH_BYTES, readTime, SIGNATURE_BYTES } from '@roost/identity/structure';

import {
  type FederationKey,
  KEY_ID_BYTES,
  keyIdOf,
  KEYS_MAX,
  nameOf,
  type OwnKey,
  readKey,
  signingKey,
  writeKey,
} from './keys.ts';
import { type Endpoint, parseEndpoint, printEndpoint } from './peer-domain.ts';
import type { VersionRange } from './versions.ts';

/** What a homeserver says of itself to others (proto/README, "Federation"). */
export interface Directory {
  readonly domain: Domain;
  /** Grows with every signing: one serial has one content. */
  readonly serial: bigint;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly protocol: VersionRange;
  /** Where its gateway listens; its certificate is for the domain all the same. */
  readonly endpoint: Endpoint;
  /** SHA-256 of the public keys (SPKI) of the client certificates that it shows. */
  readonly pins: readonly Uint8Array[];
  /** The oldest first. */
  readonly keys: readonly FederationKey[];
}

/** A directory as it came: decoded, its signature not judged. */
export interface SignedDirectory {
  readonly directory: Directory;
  readonly content: Uint8Array;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** As JSON. */
export const DIRECTORY_BYTES_MAX = 51_200;
export const DIRECTORY_MS = DAY_MS;
const CACHE_MIN_MS = 5 * MINUTE_MS;

const VERSION = 1;
const LABEL = 'FederationDirectory';
const CONTENT_BYTES_MAX = 32_768;
const PINS_MAX = 8;
const ENDPOINT_BYTES_MAX = DOMAIN_BYTES_MAX + 6;
const SERIAL_MAX = 2n ** 63n - 1n;

/** Signs a directory with the newest of its own keys that may sign. */
export function signDirectory(
  crypto: Crypto,
  directory: Omit<Directory, 'expiresMs' | 'keys'> & { readonly keys: readonly OwnKey[] },
): Uint8Array<ArrayBuffer> {
  const key = signingKey(directory.keys, directory.createdMs);
  assert(key !== undefined, 'one of the keys may sign now');
  assert(directory.keys.length <= KEYS_MAX, 'a directory lists the newest keys');
  const content = encodeContent({ ...directory, expiresMs: directory.createdMs + DIRECTORY_MS });
  const signature = signWithLabel(crypto, key.privateKey, LABEL, content);
  return encodeSigned({ content, keyId: keyIdOf(crypto, key.publicKey), signature });
}

/** A directory as it was read. */
export function encodeSigned({
  content,
  keyId,
  signature,
}: Omit<SignedDirectory, 'directory'>): Uint8Array<ArrayBuffer> {
  return encode((writer) => writer.opaque(content).fixed(keyId).opaque(signature));
}

/** Decodes a directory; throws `MALFORMED`. */
export function readDirectory(crypto: Crypto, bytes: Uint8Array): SignedDirectory {
  return decodeAll(bytes, 'FederationDirectory', (reader) => {
    const content = reader.opaque(CONTENT_BYTES_MAX);
    const keyId = reader.fixed(KEY_ID_BYTES);
    const signature = reader.opaque(SIGNATURE_BYTES);
    return { directory: decodeContent(crypto, content), content, keyId, signature };
  });
}

/** Whether the one of its keys that it names signed a directory, and could when it was made. */
export function isSelfSigned(
  crypto: Crypto,
  { directory, content, keyId, signature }: SignedDirectory,
): boolean {
  const key = directory.keys.find(({ publicKey }) => equal(keyIdOf(crypto, publicKey), keyId));
  if (key === undefined || signingKey([key], directory.createdMs) === undefined) return false;
  return verifyWithLabel(crypto, key.publicKey, LABEL, content, signature);
}

/** How long a directory may be relied on without looking again. */
export function cacheMs({ expiresMs }: Directory, nowMs: number): number {
  return Math.min(DIRECTORY_MS, Math.max(CACHE_MIN_MS, expiresMs - nowMs));
}

/** The document at the well-known address. */
export function printDirectory(bytes: Uint8Array): string {
  return JSON.stringify({ directory: toBase64url(bytes).replace(/=+$/, '') });
}

/** What stands in such a document; throws `MALFORMED`. */
export function parseDirectory(document: Uint8Array): Uint8Array {
  if (document.length > DIRECTORY_BYTES_MAX) throw malformed('directory', 'is too long');
  let text: unknown;
  try {
    const parsed: unknown = JSON.parse(fromUtf8(document));
    const isObject = typeof parsed === 'object' && parsed !== null;
    text = isObject && 'directory' in parsed ? parsed.directory : undefined;
  } catch {
    throw malformed('directory', 'is not JSON');
  }
  const bytes = typeof text === 'string' ? fromBase64url(text) : undefined;
  if (bytes === undefined) throw malformed('directory', 'is not base64url');
  return bytes;
}

function encodeContent(directory: Directory): Uint8Array<ArrayBuffer> {
  const { domain, serial, createdMs, expiresMs, protocol, endpoint, pins, keys } = directory;
  return encode((writer) => {
    writer.u16(VERSION).text(domain).u64(serial).u64(BigInt(createdMs)).u64(BigInt(expiresMs));
    writer.u16(protocol.min).u16(protocol.max).text(printEndpoint(endpoint));
    writer.vector(pins, (each, pin) => each.fixed(pin)).vector(keys, writeKey);
  });
}

function decodeContent(crypto: Crypto, content: Uint8Array): Directory {
  return decodeAll(content, 'DirectoryContent', (reader) => {
    reader.version(VERSION);
    const domain = parseDomain(reader.text(DOMAIN_BYTES_MAX));
    const serial = reader.u64();
    if (serial > SERIAL_MAX) throw reader.refuse('its serial is absurd');
    const [createdMs, expiresMs] = [readTime(reader), readTime(reader)];
    if (expiresMs <= createdMs) throw reader.refuse('it ends before it begins');
    const protocol = { min: reader.u16(), max: reader.u16() };
    if (protocol.min === 0 || protocol.max < protocol.min) {
      throw reader.refuse('its versions are no range');
    }
    const endpoint = parseEndpoint(reader.text(ENDPOINT_BYTES_MAX));
    const pins = reader.vector(PINS_MAX, (each) => each.fixed(HASH_BYTES));
    const keys = readKeys(crypto, reader);
    return { domain, serial, createdMs, expiresMs, protocol, endpoint, pins, keys };
  });
}

/** At least one, each once, none that vouches for an earlier one. */
function readKeys(crypto: Crypto, reader: Reader): FederationKey[] {
  const keys = reader.vector(KEYS_MAX, readKey);
  if (keys.length === 0) throw reader.refuse('it has no keys');
  const ids = keys.map(({ publicKey }) => nameOf(keyIdOf(crypto, publicKey)));
  if (new Set(ids).size < ids.length) throw reader.refuse('a key is there twice');
  for (const [at, { predecessor }] of keys.entries()) {
    if (ids.indexOf(nameOf(predecessor)) > at) throw reader.refuse('a key precedes an earlier one');
  }
  return keys;
}
