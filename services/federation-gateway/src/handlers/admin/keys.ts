import { equal } from '@roost/core/bytes';
import { malformed } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import { KEY_ID_BYTES, keyIdOf, KEYS_MAX, type OwnKey } from '@roost/federation/keys';
import type {
  FederationAdminServiceDefinition,
  FederationKey,
} from '@roost/proto/roost/federation/v1/admin';
import type { Handlers } from '@roost/rpc/service';
import type { OwnKeys } from '../../own-keys.ts';

export interface KeysAdminPorts {
  readonly crypto: Crypto;
  readonly keys: Pick<OwnKeys, 'all' | 'signer' | 'rotate' | 'announce' | 'revoke'>;
}

/** The federation keys of this homeserver. */
export function keyHandlers({
  crypto,
  keys,
}: KeysAdminPorts): Pick<
  Handlers<typeof FederationAdminServiceDefinition>,
  'listKeys' | 'rotateKey' | 'revokeKey'
> {
  const wireOf = (key: OwnKey): FederationKey => ({
    keyId: keyIdOf(crypto, key.publicKey),
    notBeforeMs: BigInt(key.notBefore),
    notAfterMs: BigInt(key.notAfter),
    revokedAtMs: BigInt(key.revokedAt ?? 0),
    isCurrent: equal(key.publicKey, keys.signer.publicKey),
  });
  return {
    async listKeys() {
      // Another replica may have changed them since.
      await keys.rotate();
      return { keys: keys.all.slice(-KEYS_MAX).toReversed().map(wireOf) };
    },
    async rotateKey() {
      return { key: wireOf(await keys.announce()) };
    },
    async revokeKey({ keyId }) {
      if (keyId.length !== KEY_ID_BYTES) throw malformed('key_id', 'is not of 8 bytes');
      await keys.revoke(keyId);
      return {};
    },
  };
}
