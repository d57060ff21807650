import { equal } from '@roost/core/bytes';
import { DAY_MS } from '@roost/core/time';
import { invalid } from '@roost/mls/message';
import { type ClientConfig, type ClientState, decodeGroupState, encodeGroupState } from 'ts-mls';
import type { Shelf } from './ledger.ts';

/** The hub takes messages of so many past epochs. */
const LATE_EPOCHS = 2n;

/**
 * Past epochs, and messages out of their order. Whoever learns of commits by the log, or by losing to them, is ahead of
 * its queue, where messages of the epochs before still lie: their keys go when the queue has passed them
 * (`forgetPassed`), this bounds how many there are till then.
 */
export const KEY_RETENTION = {
  retainKeysForEpochs: 32,
  retainKeysForGenerations: 64,
  // A queue that overflowed leaves gaps of this order.
  maximumForwardRatchetSteps: 4096,
};

export const mlsConfig: ClientConfig = {
  keyRetentionConfig: KEY_RETENTION,
  // The lifetime of a KeyPackage is checked by us when it is added, and by the hub.
  lifetimeConfig: { maximumTotalLifetime: 0n, validateLifetimeOnReceive: false },
  keyPackageEqualityConfig: {
    compareKeyPackages: (a, b) =>
      equal(a.leafNode.signaturePublicKey, b.leafNode.signaturePublicKey),
    compareKeyPackageToLeafNode: (a, b) =>
      equal(a.leafNode.signaturePublicKey, b.signaturePublicKey),
  },
  // Contents are padded before they are encrypted.
  paddingConfig: { kind: 'alwaysPad', paddingLength: 0 },
  // Who is behind a leaf is proved by its identity link (`links.ts`), which MLS does not see.
  authService: { validateCredential: async ({ credentialType }) => credentialType === 'basic' },
};

/** Forgets the keys of which the queue brings no message any more, having got to this epoch. */
export function forgetPassed(state: ClientState, epoch: bigint): ClientState {
  const past = [...state.historicalReceiverData];
  const kept = past.filter(([each]) => each + LATE_EPOCHS >= epoch);
  if (kept.length === past.length) return state;
  return { ...state, historicalReceiverData: new Map(kept) };
}

/** The MLS states of groups, as ts-mls writes them. */
export function mlsShelf(prefix: string): Shelf<ClientState> {
  return {
    prefix,
    encode: encodeGroupState,
    decode: (bytes) => {
      const decoded = decodeGroupState(bytes, 0);
      if (decoded === undefined) throw invalid('a stored group state does not decode');
      return { ...decoded[0], clientConfig: mlsConfig };
    },
  };
}

/** Below the 90 days that a KeyPackage may live, so that clocks may differ. */
export const LIFETIME_MS = 84 * DAY_MS;
