import type { KeyObject } from 'node:crypto';
import { assert } from '@roost/core/assert';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type Clock, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, sealRandom } from '@roost/crypto/sealed';
import type { IssuerKey, TokenClass } from '@roost/identity/issuer-keys';
import type { Database } from '@roost/postgres/database';
import type { Executor } from '@roost/postgres/executor';
import { exportIssuerKey, generateIssuerKey } from '@roost/tokens/node/issuer';
import { importPublicKey } from '@roost/tokens/node/verifier';
import { tokenKeyId as keyIdOf } from '@roost/tokens/token';
import { CLASS_NUMBERS } from './domain/allowance.ts';
import { hastened, type KeyWindow, missingWindows, stateOf } from './domain/rotation.ts';
import { IssuerPool } from './issuer-pool.ts';
import * as store from './store.ts';

const CLASSES: readonly TokenClass[] = ['general', 'contact'];

export interface RingKey extends store.StoredKey {
  readonly tokenClass: TokenClass;
  readonly publicKey: KeyObject;
  /** Signs 1 to 100 blinded messages; the threads are started at the first. */
  readonly sign: (blinded: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>;
}

interface Ports {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly secretKey: Uint8Array;
  readonly threads: number;
}

/** The issuer keys, as they stand in the database: rotated by whichever replica comes first. */
export class KeyRing implements AsyncDisposable {
  readonly #ports: Ports;
  #pool: IssuerPool | undefined;
  #keys = new Map<string, RingKey>();
  #lastLoadMs = 0;
  #rotating: Promise<void> | undefined;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** Makes the keys that are missing, drops the retired ones, and loads all. */
  async rotate(): Promise<void> {
    this.#rotating ??= this.#rotate().finally(() => {
      this.#rotating = undefined;
    });
    await this.#rotating;
  }

  /**
   * What the operator asks for: the keys that are announced issue from now on. What was drawn before is
   * good for its overlap, or `isVoid` at once: then all keys go, and whoever has tokens of them draws again.
   */
  async replace({ isVoid }: { readonly isVoid: boolean }): Promise<void> {
    await this.#ports.database.transaction(async (tx) => {
      await store.lockRotation(tx);
      const now = this.#ports.clock.now();
      if (isVoid) return await dropAllKeys(tx);
      for (const key of await store.findKeys(tx)) {
        await store.moveWindow(tx, key.keyNumber, hastened(key, now));
      }
    });
    await this.rotate();
  }

  /** All, by the times at which they issue. */
  async known(): Promise<readonly RingKey[]> {
    await this.#load();
    return [...this.#keys.values()];
  }

  /** Looks whether another replica, or the operator at another replica, changed the keys. */
  async refresh(): Promise<void> {
    await this.#load();
  }

  async #rotate(): Promise<void> {
    const { database } = this.#ports;
    await this.#load();
    if (!this.#needsRotation()) return;
    // A key takes some 100 ms to draw: outside of the transaction.
    const candidates: NewKey[] = [];
    for (const tokenClass of CLASSES) {
      const missing = missingWindows(this.#ofClass(tokenClass), this.#ports.clock.now());
      for (const _ of missing)
        candidates.push(await this.#draw([...this.#keys.values(), ...candidates]));
    }
    await database.transaction(async (tx) => {
      await store.lockRotation(tx);
      const existing = await store.findKeys(tx);
      const now = this.#ports.clock.now();
      for (const key of existing) {
        if (isForgotten(key, now)) await store.dropKey(tx, key.keyNumber);
      }
      for (const tokenClass of CLASSES) {
        const classNumber = CLASS_NUMBERS[tokenClass];
        const ofClass = existing.filter((key) => key.classNumber === classNumber);
        for (const window of missingWindows(ofClass, now)) {
          const fresh = candidates.shift() ?? (await this.#draw(existing));
          await store.addKey(tx, { ...fresh, ...window, classNumber });
        }
      }
    });
    await this.#load();
  }

  /**
   * The key by its id, where its tokens are redeemed now. One that does not issue here yet is: a replica
   * whose clock is ahead may have issued under it already.
   */
  async redeemable(tokenKeyId: Uint8Array): Promise<RingKey | undefined> {
    const key = await this.#find(tokenKeyId);
    return key && stateOf(key, this.#ports.clock.now()) !== 'retired' ? key : undefined;
  }

  /** The key that issues now for a class; throws where the client asks for another. */
  async issuing(tokenClass: TokenClass, tokenKeyId: Uint8Array): Promise<RingKey> {
    const key = await this.#find(tokenKeyId);
    const now = this.#ports.clock.now();
    // What another replica publishes as current issues here too, though its clock be ahead.
    const isCurrent = key && [now, now + SKEW_MS].some((at) => stateOf(key, at) === 'current');
    if (key?.tokenClass !== tokenClass || isCurrent !== true) {
      throw new Failure('MALFORMED', 'token_key_id: is not the key that issues now', {
        field: 'token_key_id',
      });
    }
    return key;
  }

  /**
   * All that clients may know, in the order of the windows. Whether a key is missing follows from the
   * clock alone, so that every replica rotates at the same moment, and finds what the first one made.
   */
  async published(): Promise<readonly IssuerKey[]> {
    if (this.#isMissing()) await this.rotate();
    const now = this.#ports.clock.now();
    return [...this.#keys.values()].flatMap((key) => {
      const state = stateOf(key, now);
      if (state === 'retired') return [];
      const window = { notBefore: BigInt(key.issuesFrom), notAfter: BigInt(key.redeemsUntil) };
      return [{ tokenClass: key.tokenClass, state, ...window, spki: key.spki }];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool?.[Symbol.asyncDispose]();
  }

  async #find(tokenKeyId: Uint8Array): Promise<RingKey | undefined> {
    const id = toHex(tokenKeyId);
    if (!this.#keys.has(id) && this.#isMissing()) await this.rotate();
    // Another replica may have rotated; asking the database is bounded, or garbage would do it.
    if (!this.#keys.has(id) && this.#ports.clock.now() - this.#lastLoadMs > RELOAD_MS) {
      await this.#load();
    }
    return this.#keys.get(id);
  }

  #needsRotation(): boolean {
    const now = this.#ports.clock.now();
    return this.#isMissing() || [...this.#keys.values()].some((key) => isForgotten(key, now));
  }

  #isMissing(): boolean {
    const now = this.#ports.clock.now();
    return CLASSES.some((name) => missingWindows(this.#ofClass(name), now).length > 0);
  }

  #ofClass(tokenClass: TokenClass): readonly RingKey[] {
    return [...this.#keys.values()].filter((key) => key.tokenClass === tokenClass);
  }

  async #load(): Promise<void> {
    this.#lastLoadMs = this.#ports.clock.now();
    const stored = await store.findKeys(this.#ports.database);
    this.#keys = new Map(stored.map((key) => [toHex(key.tokenKeyId), this.#open(key)]));
  }

  #open(key: store.StoredKey): RingKey {
    const { crypto, secretKey } = this.#ports;
    const tokenClass = CLASSES.find((name) => CLASS_NUMBERS[name] === key.classNumber);
    assert(tokenClass !== undefined, 'a stored key has a class that we know');
    const id = toHex(key.tokenKeyId);
    // What stays of a key are its bytes; when it issues may change.
    const known = this.#keys.get(id);
    if (known !== undefined) return { ...known, ...key };
    const sign = async (blinded: Uint8Array): Promise<Uint8Array<ArrayBuffer>> => {
      const pkcs8 = openSealed(crypto, secretKey, key.tokenKeyId, key.privateSealed);
      assert(pkcs8 !== undefined, 'the secret key opens the issuer keys of this database');
      this.#pool ??= new IssuerPool(this.#ports.threads);
      return await this.#pool.sign({ name: id, pkcs8 }, blinded);
    };
    return { ...key, tokenClass, publicKey: importPublicKey(key.spki), sign };
  }

  /** The last byte of a key id names it in a token request (RFC 9578 §5.1): no two may share it. */
  async #draw(beside: readonly NewKey[]): Promise<NewKey> {
    const { crypto, secretKey } = this.#ports;
    for (;;) {
      const drawn = await generateIssuerKey();
      const tokenKeyId = keyIdOf(crypto, drawn.publicKey);
      if (beside.some((key) => key.tokenKeyId[31] === tokenKeyId[31])) continue;
      const pkcs8 = exportIssuerKey(drawn);
      const privateSealed = sealRandom(crypto, secretKey, tokenKeyId, pkcs8);
      return { tokenKeyId, spki: drawn.publicKey, privateSealed };
    }
  }
}

/** All that was drawn is void; the next rotation makes keys. */
export async function dropAllKeys(tx: Executor): Promise<void> {
  for (const key of await store.findKeys(tx)) await store.dropKey(tx, key.keyNumber);
  // Who had drawn all of today's would stand there with nothing.
  await store.forgetAllowances(tx, store.EVERY_PERIOD);
}

type NewKey = Pick<store.StoredKey, 'tokenKeyId' | 'spki' | 'privateSealed'>;

/** A retired key goes when it is retired by the clocks of all replicas: one behind still inserts. */
function isForgotten(key: KeyWindow, now: number): boolean {
  return stateOf(key, now - FORGET_AFTER_MS) === 'retired';
}

const RELOAD_MS = 1_000;
/** How far apart the clocks of replicas may be. */
const SKEW_MS = MINUTE_MS;
const FORGET_AFTER_MS = 10 * MINUTE_MS;
