import type { Domain, QsClientId, QsUserId, Uuid } from '@roost/core/ids';
import { Failure } from '@roost/core/failure';
import { monthOf, type Clock } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { KeyOf } from '@roost/rpc/service';
import { LRUCache } from 'lru-cache';
import {
  findClient,
  findUser,
  touchClient,
  type ClientRecord,
  type UserRecord,
} from './store/records.ts';

const CACHED_MAX = 10_000;

/** Which homeserver this is, and whether it exchanges messages with others. */
interface Home {
  readonly domain: Domain;
  readonly isFederated: boolean;
}

/**
 * Finds records by their ids. What is kept never changes; that a record may have been deleted is found
 * by whatever is done with it.
 */
export class Records {
  readonly #home: Home;
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #users = new LRUCache<Uuid, UserRecord>({ max: CACHED_MAX });
  readonly #clients = new LRUCache<Uuid, ClientRecord>({ max: CACHED_MAX });
  /** The month in which activity was last written down. */
  readonly #months = new LRUCache<bigint, number>({ max: CACHED_MAX });

  constructor(home: Home, database: Database, clock: Clock) {
    this.#home = home;
    this.#database = database;
    this.#clock = clock;
  }

  readonly keyOf: KeyOf = async ({ qsUser, qsClient }) => {
    if (qsUser !== undefined) return (await this.findUser(qsUser))?.authKey;
    if (qsClient !== undefined) return (await this.findClient(qsClient))?.authKey;
    return undefined;
  };

  async user(id: QsUserId): Promise<UserRecord> {
    const found = await this.findUser(id);
    if (found === undefined) throw queueUnknown();
    return found;
  }

  async client(id: QsClientId): Promise<ClientRecord> {
    const found = await this.findClient(id);
    if (found === undefined) throw queueUnknown();
    return found;
  }

  async findUser({ uuid, domain }: QsUserId): Promise<UserRecord | undefined> {
    this.assertHere(domain);
    const known = this.#users.get(uuid);
    if (known !== undefined) return known;
    const [found] = await findUser(this.#database, uuid);
    if (found !== undefined) this.#users.set(uuid, found);
    return found;
  }

  async findClient({ uuid, domain }: QsClientId): Promise<ClientRecord | undefined> {
    this.assertHere(domain);
    const known = this.#clients.get(uuid);
    if (known !== undefined) return known;
    const [found] = await findClient(this.#database, uuid);
    if (found !== undefined) this.#clients.set(uuid, found);
    return found;
  }

  forget(uuid: Uuid): void {
    this.#clients.delete(uuid);
  }

  /** Writes down that a client is in use, by the month and once. */
  async touch({ clientId }: ClientRecord): Promise<void> {
    const month = monthOf(this.#clock.now());
    if (this.#months.get(clientId) === month) return;
    await touchClient(this.#database, clientId, month);
    this.#months.set(clientId, month);
  }

  /** Refuses another hub where this homeserver exchanges messages with none. */
  assertHub(domain: Domain): void {
    if (!this.#home.isFederated) this.assertHere(domain);
  }

  isHere(domain: Domain): boolean {
    return domain === this.#home.domain;
  }

  /** Refuses what belongs to another homeserver. */
  assertHere(domain: Domain): void {
    if (this.isHere(domain)) return;
    const sentence = this.#home.isFederated
      ? `that belongs to ${domain}, and this homeserver is ${this.#home.domain}`
      : 'federation is not configured';
    throw new Failure('FEDERATION_DENIED', sentence);
  }
}

export function queueUnknown(): Failure {
  return new Failure('QUEUE_UNKNOWN', 'there is no such queue record');
}
