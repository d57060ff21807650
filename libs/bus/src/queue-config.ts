import { assert } from '@roost/core/assert';
import {
  DOMAIN_BYTES_MAX,
  parseDomain,
  writeScoped,
  type Domain,
  type GroupId,
} from '@roost/core/ids';
import { decodeAll, encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { HANDLE_BYTES, PUSH_KEY_BYTES } from './frames.ts';

/** How a client is reached for one group: the ClientQueueConfig of proto/README. */
export interface QueueConfig {
  readonly domain: Domain;
  readonly handle: Uint8Array;
  readonly pushKey: Uint8Array;
}

export function encodeQueueConfig({ domain, handle, pushKey }: QueueConfig) {
  assert(handle.length === HANDLE_BYTES && pushKey.length === PUSH_KEY_BYTES, 'both are 32 bytes');
  return encode((writer) => writer.u16(VERSION).text(domain).fixed(handle).fixed(pushKey));
}

export function decodeQueueConfig(bytes: Uint8Array): QueueConfig {
  return decodeAll(bytes, 'ClientQueueConfig', (reader) => {
    reader.version(VERSION);
    return {
      domain: parseDomain(reader.text(DOMAIN_BYTES_MAX)),
      handle: reader.fixed(HANDLE_BYTES),
      pushKey: reader.fixed(PUSH_KEY_BYTES),
    };
  });
}

/** What a handle is bound to: the QS keeps this instead of the group's id. */
export function bindingOf(crypto: Crypto, handle: Uint8Array, groupId: GroupId): Uint8Array {
  return binderOf(crypto, groupId)(handle);
}

/** `bindingOf` for many handles of one group. */
export function binderOf(crypto: Crypto, groupId: GroupId): (handle: Uint8Array) => Uint8Array {
  const encoded = encode((writer) => writeScoped(writer, groupId));
  return (handle) => crypto.hmacSha256(handle, encoded);
}

const VERSION = 1;
