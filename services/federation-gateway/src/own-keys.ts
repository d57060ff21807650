import type { Bell } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import { CannotStart } from '@roost/core/cannot-start';
import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import { type Clock, HOUR_MS } from '@roost/core/time';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { openSealed, sealRandom } from '@roost/crypto/sealed';
import { type Directory, signDirectory } from '@roost/federation/directory';
import {
  firstKey,
  isRotationDue,
  keyIdOf,
  KEYS_MAX,
  keyStanding,
  nextKey,
  type OwnKey,
  replacementKey,
  signingKey,
} from '@roost/federation/keys';
import { isKnownKey } from '@roost/federation/known-keys';
import { printEndpoint } from '@roost/federation/peer-domain';
import type { Database } from '@roost/postgres/database';
import type { Executor } from '@roost/postgres/executor';
import * as store from './store/keys.ts';

export interface OwnKeysPorts {
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly domain: Domain;
  /** 32 bytes: seals the private keys at rest. */
  readonly secretKey: Uint8Array;
  /** Rung where keys change, so that other replicas hear of it at once. */
  readonly bell: Pick<Bell, 'ring' | 'listen'>;
  /** What the directory says besides. */
  readonly about: Pick<Directory, 'endpoint' | 'pins' | 'protocol'>;
}

/** What is rung. */
const CHANGED = 'keys';
/** So often a directory is signed anew where nothing changes: a quarter of what it is good for. */
const SIGN_EVERY_MS = 6 * HOUR_MS;

/**
 * The federation keys of this homeserver, and the directory that names them: drawn at the first start,
 * kept sealed, rotated by whichever replica comes first, the same at all of them.
 */
export class OwnKeys {
  readonly #ports: OwnKeysPorts;
  #pins: OwnKeysPorts['about']['pins'];
  #keys: readonly OwnKey[] = [];
  #directory: Uint8Array | undefined;

  constructor(ports: OwnKeysPorts) {
    this.#ports = ports;
    this.#pins = ports.about.pins;
  }

  /** All keys, the oldest first. */
  get all(): readonly OwnKey[] {
    return this.#keys;
  }

  /** The key that signs now. */
  get signer(): OwnKey {
    const key = signingKey(this.#keys, this.#ports.clock.now());
    if (key !== undefined) return key;
    throw new Failure('UNAVAILABLE', 'no federation key of this homeserver may sign now');
  }

  /** What is published at the well-known address, in its encoding. */
  get directory(): Uint8Array {
    assert(this.#directory !== undefined, 'the keys are loaded before anything is published');
    return this.#directory;
  }

  /** What the directory says of the certificates that we show, from its next signing on. */
  pin(pins: OwnKeysPorts['about']['pins']): void {
    this.#pins = pins;
  }

  /** Makes the key that is missing or due, signs the directory where it is due, and loads both. */
  async rotate(): Promise<void> {
    await this.#change((keys, nowMs) => {
      const { crypto, domain } = this.#ports;
      const newest = newestOf(keys);
      if (newest === undefined) return firstKey(crypto, domain, nowMs);
      // After a long absence nobody is served by a key of tomorrow.
      if (signingKey(keys, nowMs) === undefined) {
        return replacementKey(crypto, domain, newest, nowMs);
      }
      return isRotationDue(keys, nowMs) ? nextKey(crypto, domain, newest, nowMs) : undefined;
    });
  }

  /** Announces another key, whether one is due or not. */
  async announce(): Promise<OwnKey> {
    const { crypto, domain } = this.#ports;
    await this.#change((keys, nowMs) => {
      const newest = newestOf(keys);
      assert(newest !== undefined, 'there is a first key');
      if (newest.notBefore > nowMs) {
        throw new Failure('LIMIT_REACHED', 'a key is announced already and does not sign yet');
      }
      return nextKey(crypto, domain, newest, nowMs);
    });
    const made = this.#keys.at(-1);
    assert(made !== undefined, 'it was made');
    return made;
  }

  /** Ends a key at once; another takes its place, also of one that was only announced. */
  async revoke(keyId: Uint8Array): Promise<void> {
    const { crypto, clock, database, domain } = this.#ports;
    await database.transaction(async (tx) => {
      await store.lockKeys(tx);
      const keys = await this.#read(tx);
      const named = keys.find(({ publicKey }) => equal(keyIdOf(crypto, publicKey), keyId));
      if (named === undefined) throw new Failure('MALFORMED', 'key_id: there is no such key');
      // Said twice, it is done once.
      if (named.revokedAt !== undefined) return;
      const nowMs = clock.now();
      await store.revokeKey(tx, named.publicKey, nowMs);
      // A key that nobody has heard of: whoever meets it reads the directory, and hears of the other's end.
      const others = keys.filter((key) => key !== named);
      const voucher = others.findLast(({ revokedAt }) => revokedAt === undefined) ?? named;
      const isSigning = keyStanding(named, nowMs) !== 'expired';
      if (isSigning || signingKey(others, nowMs) === undefined) {
        await store.addKey(tx, this.#seal(replacementKey(crypto, domain, voucher, nowMs)));
      }
    });
    await this.rotate();
    this.#ports.bell.ring(CHANGED);
  }

  /** Loads what another replica changed, when it says so. */
  follow(troubled: (error: unknown) => void): { close(): void } {
    return this.#ports.bell.listen(CHANGED, () => void this.rotate().catch(troubled));
  }

  async #change(
    make: (keys: readonly OwnKey[], nowMs: number) => OwnKey | undefined,
  ): Promise<void> {
    const { clock, crypto, database } = this.#ports;
    const found = await database.transaction(async (tx) => {
      await store.lockKeys(tx);
      const [keys, nowMs] = [await this.#read(tx), clock.now()];
      const made = make(keys, nowMs);
      if (made !== undefined) await store.addKey(tx, this.#seal(made));
      const all = made === undefined ? keys : [...keys, made];
      assertOwn(crypto, all);
      return {
        keys: all,
        directory: await this.#publish(tx, all, nowMs),
        isNew: made !== undefined,
      };
    });
    this.#keys = found.keys;
    this.#directory = found.directory;
    if (found.isNew) this.#ports.bell.ring(CHANGED);
  }

  async #read(tx: Executor): Promise<readonly OwnKey[]> {
    return (await store.findKeys(tx)).map((key) => ({ ...key, privateKey: this.#open(key) }));
  }

  /** What the table has where that is right and fresh, else what is signed now. */
  async #publish(tx: Executor, all: readonly OwnKey[], nowMs: number): Promise<Uint8Array> {
    const { crypto, domain } = this.#ports;
    const about = { ...this.#ports.about, pins: this.#pins };
    const keys = all.slice(-KEYS_MAX);
    const digest = digestOf(crypto, about, keys);
    const kept = await store.findDirectory(tx);
    const isFresh = kept !== undefined && nowMs - kept.signedAtMs < SIGN_EVERY_MS;
    if (isFresh && kept.signedAtMs <= nowMs && equal(kept.digest, digest)) return kept.signed;
    // Grows by the clock, so that it goes on over a restored database: peers take no smaller one.
    const [next, byClock] = [(kept?.serial ?? 0n) + 1n, BigInt(nowMs)];
    const serial = next > byClock ? next : byClock;
    const signed = signDirectory(crypto, { ...about, domain, serial, createdMs: nowMs, keys });
    await store.putDirectory(tx, { serial, signed, digest, signedAtMs: nowMs });
    return signed;
  }

  #seal({ privateKey, ...key }: OwnKey): store.StoredKey {
    const { crypto, secretKey } = this.#ports;
    return { ...key, privateSealed: sealRandom(crypto, secretKey, key.publicKey, privateKey) };
  }

  #open({ publicKey, privateSealed }: store.StoredKey): Uint8Array {
    const { crypto, secretKey } = this.#ports;
    const privateKey = openSealed(crypto, secretKey, publicKey, privateSealed);
    assert(privateKey !== undefined, 'the federation keys open with the secret of this service');
    return privateKey;
  }
}

/** A key that came from elsewhere than our own randomness, as from an example, signs nothing. */
function assertOwn(crypto: Crypto, keys: readonly OwnKey[]): void {
  const isKnown = ({ publicKey, revokedAt }: OwnKey): boolean =>
    revokedAt === undefined && isKnownKey(crypto, publicKey);
  if (!keys.some(isKnown)) return;
  throw new CannotStart(
    'the database holds a federation key that everybody can sign with: it was not drawn by this service; ' +
      'restore the one that was, or begin with an empty database',
  );
}

/** Who vouches for the next: the newest that was not revoked, as nobody follows from one that was. */
function newestOf(keys: readonly OwnKey[]): OwnKey | undefined {
  return keys.findLast(({ revokedAt }) => revokedAt === undefined) ?? keys.at(-1);
}

/** Which keys may sign or be believed, and where we are: all that a reader could tell apart. */
function digestOf(
  crypto: Crypto,
  { endpoint, pins, protocol }: OwnKeysPorts['about'],
  keys: readonly OwnKey[],
): Uint8Array {
  return crypto.sha256(
    encode((writer) => {
      writer.text(printEndpoint(endpoint)).u16(protocol.min).u16(protocol.max);
      writer.vector(pins, (each, pin) => each.fixed(pin));
      writer.vector(keys, (each, { publicKey, revokedAt }) =>
        each.fixed(publicKey).u64(BigInt(revokedAt ?? 0)),
      );
    }),
  );
}
