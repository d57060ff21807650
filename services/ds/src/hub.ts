import type { Domain } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import { externalSenderOf } from '@roost/mls/hub';

/** By what the DS proposes changes to its groups, from outside of them. */
export interface Hub {
  /** The seed of its Ed25519 key. */
  readonly key: Uint8Array;
  /** ExternalSender, as every group here names it. */
  readonly externalSender: Uint8Array;
}

export function hubOf({ ed25519 }: Crypto, key: Uint8Array, domain: Domain): Hub {
  return { key, externalSender: externalSenderOf(ed25519.publicKey(key), domain) };
}
