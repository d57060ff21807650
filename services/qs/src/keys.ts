import { assert } from '@roost/core/assert';
import { GroupId, writeScoped, type Domain } from '@roost/core/ids';
import { utf8 } from '@roost/core/bytes';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { hkdfExpand } from '@roost/crypto/hkdf';
import { openSealed, sealRandom } from '@roost/crypto/sealed';

/** What the secret key of this service is used for: one key for each purpose. */
export class SecretKeys {
  readonly #crypto: Crypto;
  readonly #ratchetKey: Uint8Array;
  readonly #markKey: Uint8Array;
  readonly #claimKey: Uint8Array;
  readonly #limitKey: Uint8Array;

  constructor(crypto: Crypto, secretKey: Uint8Array) {
    assert(secretKey.length === 32, 'the secret key of the QS has 32 bytes');
    const derive = (purpose: string): Uint8Array =>
      hkdfExpand(crypto, secretKey, utf8(`Roost 1.0 QS ${purpose}`), 32);
    this.#crypto = crypto;
    this.#ratchetKey = derive('ratchet');
    this.#markKey = derive('mark');
    this.#claimKey = derive('claim');
    this.#limitKey = derive('limit');
  }

  sealRatchet(clientId: bigint, state: Uint8Array): Uint8Array {
    return sealRandom(this.#crypto, this.#ratchetKey, ratchetAad(clientId), state);
  }

  openRatchet(clientId: bigint, sealed: Uint8Array): Uint8Array {
    const state = openSealed(this.#crypto, this.#ratchetKey, ratchetAad(clientId), sealed);
    assert(state !== undefined, 'a ratchet was sealed with the secret key of this database');
    return state;
  }

  /** What a group is called in our tables: nobody without the key can tell which it is. */
  markTag(source: Domain, groupId: GroupId): Uint8Array {
    return this.#crypto.hmacSha256(
      this.#markKey,
      encode((writer) => writeScoped(writer.text(source), groupId)),
    );
  }

  /**
   * What a queue is called where deliveries are counted: by its handle, and not by its client, so that no hub
   * learns from a limit which handles are of one.
   */
  limitTag(handle: Uint8Array): Uint8Array {
    return this.#crypto.hmacSha256(this.#limitKey, handle);
  }

  claimTag(tokenHash: Uint8Array, groupId: GroupId): Uint8Array {
    return this.#crypto.hmacSha256(
      this.#claimKey,
      encode((writer) => writeScoped(writer.fixed(tokenHash), groupId)),
    );
  }
}

function ratchetAad(clientId: bigint): Uint8Array {
  const aad = new Uint8Array(8);
  new DataView(aad.buffer).setBigInt64(0, clientId);
  return aad;
}
