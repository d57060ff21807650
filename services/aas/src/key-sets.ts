import { equal } from '@roost/core/bytes';
import type { Domain } from '@roost/core/ids';
import { HOUR_MS, type Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
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
    const { database, sign } = this.#ports;
    const known = await store.findSignature(database, hash);
    if (known !== undefined) return { keySet, ...known };
    const signed = await sign({ keySet });
    // Of two replicas that ask at once one is kept: the AS may have changed its key between.
    await store.keepSignature(database, hash, signed, new Date(now));
    return { keySet, ...((await store.findSignature(database, hash)) ?? signed) };
  }
}
