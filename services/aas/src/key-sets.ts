import { assert } from '@roost/core/assert';
import { concat, equal } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import { HOUR_MS, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, sealRandom } from '@roost/crypto/sealed';
import { encodeIssuerKeySet, type IssuerKey } from '@roost/identity/issuer-keys';
import type { Database } from '@roost/postgres/database';
import type {
  SignIssuerKeysRequest,
  SignIssuerKeysResponse,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { GetIssuerKeysResponse } from '@roost/proto/roost/tokens/v1/tokens';
import * as store from './store.ts';

interface Ports {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly database: Database;
  readonly domain: Domain;
  readonly keys: () => Promise<readonly IssuerKey[]>;
  /** Seals what is kept. */
  readonly secretKey: Uint8Array;
  readonly sign: (request: SignIssuerKeysRequest) => Promise<SignIssuerKeysResponse>;
}

interface Kept {
  readonly hash: Uint8Array;
  readonly set: Promise<GetIssuerKeysResponse>;
}

/**
 * The key set that everyone is served, signed by the AS: made anew each hour and when a key changes its
 * state. Its bytes follow from the keys and the hour, and its signature is kept in the database, so
 * that all replicas serve the same: a set of one's own would be a mark to be told by.
 */
export class KeySets {
  readonly #ports: Ports;
  #kept: Kept | undefined;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  async signed(): Promise<GetIssuerKeysResponse> {
    const { clock, crypto, domain } = this.#ports;
    const keys = await this.#ports.keys();
    const now = clock.now();
    const createdMs = BigInt(now - (now % HOUR_MS));
    const keySet = encodeIssuerKeySet({ domain, createdMs, keys });
    const hash = crypto.sha256(keySet);
    if (this.#kept !== undefined && equal(this.#kept.hash, hash)) return await this.#kept.set;

    const mine: Kept = { hash, set: this.#sign(keySet, hash, now) };
    this.#kept = mine;
    try {
      return await mine.set;
    } catch (error) {
      if (this.#kept === mine) this.#kept = undefined;
      throw error;
    }
  }

  async #sign(keySet: Uint8Array, hash: Uint8Array, now: number): Promise<GetIssuerKeysResponse> {
    const { crypto, database, secretKey, sign } = this.#ports;
    const known = await this.#find(hash);
    if (known !== undefined) return { keySet, ...known };
    const { issuer, signature } = await sign({ keySet });
    assert(issuer.length === ISSUER_BYTES, 'the AS names its key by a hash');
    // Of two replicas that ask at once one is kept: the AS may have changed its key between.
    const sealed = sealRandom(crypto, secretKey, hash, concat(issuer, signature));
    await store.keepSigned(database, hash, sealed, new Date(now));
    return { keySet, ...((await this.#find(hash)) ?? { issuer, signature }) };
  }

  async #find(hash: Uint8Array): Promise<SignIssuerKeysResponse | undefined> {
    const { crypto, database, secretKey } = this.#ports;
    const sealed = await store.findSigned(database, hash);
    if (sealed === undefined) return undefined;
    const signed = openSealed(crypto, secretKey, hash, sealed);
    assert(signed !== undefined, 'the secret key opens the key sets of this database');
    return { issuer: signed.slice(0, ISSUER_BYTES), signature: signed.slice(ISSUER_BYTES) };
  }
}

/** SHA-256 of the AsIntermediate that signed. */
const ISSUER_BYTES = 32;
