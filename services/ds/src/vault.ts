import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import type { Crypto } from '@roost/crypto/crypto';
import type { PublicGroup } from '@roost/mls/public-group';
import { decodePublicGroup } from '@roost/mls/stored';
import type { Executor } from '@roost/postgres/executor';
import { LRUCache } from 'lru-cache';
import { decodeRoster, memberOfKey } from './domain/roster.ts';
import type { Member, Roster } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import { findGroup, findRosters, findState, lockGroup } from './store/groups.ts';
import type { GroupRow } from './store/groups.ts';

/** A group as a member sees it from inside a transaction. */
export interface Opened {
  readonly ear: Ear;
  readonly row: GroupRow;
  readonly roster: Roster;
}

/**
 * Opens what lies below EAR keys, and keeps it opened: a roster by its version and a state by its
 * epoch never change. Whoever asks names both as its own transaction read them.
 */
export class Vault {
  readonly #crypto: Crypto;
  readonly #cache: LRUCache<string, Kept>;

  constructor(crypto: Crypto, bytesMax: number) {
    this.#crypto = crypto;
    this.#cache = new LRUCache({ maxSize: bytesMax, sizeCalculation: ({ bytes }) => bytes });
  }

  /** Keeps others out of the group until `tx` ends. Unknown groups and wrong keys are one refusal. */
  async lock(tx: Executor, ear: Ear): Promise<Opened> {
    return await this.#open(tx, ear, await lockGroup(tx, ear.groupId.uuid));
  }

  /** For reading: in a transaction that sees one moment. */
  async look(tx: Executor, ear: Ear): Promise<Opened> {
    return await this.#open(tx, ear, await findGroup(tx, ear.groupId.uuid));
  }

  /** As `lock`, and the caller is of the roster by its leaf key. */
  async lockAsMember(tx: Executor, ear: Ear, key: Uint8Array): Promise<MemberView> {
    return memberView(await this.lock(tx, ear), key);
  }

  async lookAsMember(tx: Executor, ear: Ear, key: Uint8Array): Promise<MemberView> {
    return memberView(await this.look(tx, ear), key);
  }

  /** The roster where it is kept opened; `undefined` also for another key than it was opened by. */
  keptRoster(ear: Ear, row: GroupRow): Roster | undefined {
    const kept = this.#kept(rosterName(row), ear);
    return kept?.kind === 'roster' ? kept.roster : undefined;
  }

  /** Opens a roster as its row has it; `undefined` where the key is another. */
  openRoster(ear: Ear, row: GroupRow, sealed: Uint8Array): Roster | undefined {
    const bytes = ear.open({ kind: 'roster', version: row.rosterVersion }, sealed);
    if (bytes === undefined) return undefined;
    const roster = decodeRoster(bytes);
    this.keepRoster(ear, row, roster, bytes.length);
    return roster;
  }

  /** The public group of the epoch of `row`, without its pending proposals. */
  async state(tx: Executor, ear: Ear, row: GroupRow): Promise<PublicGroup> {
    const kept = this.#kept(stateName(row), ear);
    if (kept?.kind === 'state') return kept.state;
    const sealed = await findState(tx, row.id);
    assert(sealed !== undefined, 'a group has a state');
    const bytes = ear.open({ kind: 'state', epoch: row.epoch }, sealed);
    assert(bytes !== undefined, 'the key that opens the roster opens the state');
    const state = decodePublicGroup(this.#crypto, bytes);
    this.keepState(ear, row, state, bytes.length);
    return state;
  }

  /** Only what a transaction that has ended made, or one that holds the lock read. */
  keepRoster(ear: Ear, row: GroupRow, roster: Roster, bytes: number): void {
    const size = bytes * DECODED_FACTOR + OVERHEAD_BYTES;
    const { fingerprint } = ear;
    this.#cache.set(rosterName(row), { kind: 'roster', fingerprint, roster, bytes: size });
  }

  keepState(ear: Ear, row: GroupRow, state: PublicGroup, bytes: number): void {
    const size = bytes * DECODED_FACTOR + OVERHEAD_BYTES;
    const { fingerprint } = ear;
    this.#cache.set(stateName(row), { kind: 'state', fingerprint, state, bytes: size });
  }

  async #open(tx: Executor, ear: Ear, row: GroupRow | undefined): Promise<Opened> {
    if (row === undefined) throw groupUnknown();
    const kept = this.keptRoster(ear, row);
    if (kept !== undefined) return { ear, row, roster: kept };
    const sealed = (await findRosters(tx, [row.id])).get(row.id);
    assert(sealed !== undefined, 'a group has a roster');
    const roster = this.openRoster(ear, row, sealed);
    if (roster === undefined) throw groupUnknown();
    return { ear, row, roster };
  }

  #kept(name: string, ear: Ear): Kept | undefined {
    const kept = this.#cache.get(name);
    if (kept === undefined) return undefined;
    return this.#crypto.equal(kept.fingerprint, ear.fingerprint) ? kept : undefined;
  }
}

export interface MemberView extends Opened {
  readonly member: Member;
}

export function memberView(opened: Opened, key: Uint8Array): MemberView {
  const member = memberOfKey(opened.roster, key);
  if (member === undefined) throw groupUnknown();
  return { ...opened, member };
}

/** The one answer to whoever does not belong here, whatever the reason. */
export function groupUnknown(): Failure {
  return new Failure('GROUP_UNKNOWN', 'there is no such group, or you are not in it');
}

type Kept = { readonly fingerprint: Uint8Array; readonly bytes: number } & (
  | { readonly kind: 'roster'; readonly roster: Roster }
  | { readonly kind: 'state'; readonly state: PublicGroup }
);

/** What objects take in memory for each byte of their encoding, roughly. */
const DECODED_FACTOR = 8;
const OVERHEAD_BYTES = 1024;

function rosterName({ id, rosterVersion }: GroupRow): string {
  return `roster ${id} ${rosterVersion}`;
}

function stateName({ id, epoch }: GroupRow): string {
  return `state ${id} ${epoch}`;
}
