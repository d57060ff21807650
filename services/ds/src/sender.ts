import { encodeGroupEvent } from '@roost/bus/group-event';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Uuid } from '@roost/core/ids';
import { monthOf } from '@roost/core/time';
import type { ApplicationMessage } from '@roost/mls/message';
import type { Executor } from '@roost/postgres/executor';
import { messageDigest, openAnswer, sealAnswer } from './answers.ts';
import { dayOf } from './config.ts';
import { mortal } from './desk.ts';
import type { Desk } from './desk.ts';
import { admitEpoch } from './domain/message-epoch.ts';
import type { Roster } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import { OutboxDraft, toOthers } from './fan-out.ts';
import { findRosters, lockGroups, touchGroups } from './store/groups.ts';
import type { GroupRow } from './store/groups.ts';
import { findAccepted, insertAccepted } from './store/log.ts';
import { assertHeard } from './standing.ts';
import { findHeads } from './store/outbox.ts';
import { isDue } from './tend.ts';
import { groupUnknown, memberView } from './vault.ts';
import type { MemberView } from './vault.ts';

/** A message that somebody asks to be sent; who, is judged under the lock. */
export interface Send {
  readonly ear: Ear;
  readonly key: Uint8Array;
  readonly message: ApplicationMessage;
  /** Where it is shown, if it is (`traceBytes`). */
  readonly trace?: Uint8Array;
}

/** One by one, what became of the sends of a batch: when each was accepted, or why not. */
export type Outcome = Sent | { readonly refusal: Failure };

export interface Sent {
  readonly acceptedAtMs: bigint;
  /** Whether the hub has something to do about the group now. */
  readonly seemsDue: boolean;
}

/**
 * Decides a batch of sends in one transaction and writes what follows in a number of statements that
 * does not grow with it.
 */
export async function sendBatch(desk: Desk, sends: readonly Send[]): Promise<readonly Outcome[]> {
  const digests = sends.map(({ ear, message }) => messageDigest(desk.crypto, ear, message.tls));
  const { outcomes, partitions } = await desk.database.transaction(async (given) => {
    const tx = mortal(given, desk.faults);
    const batch = await Batch.open(desk, tx, sends, digests);
    const decided = sends.map((send, at) => batch.decide(send, digests[at] ?? NOTHING));
    await batch.write(tx);
    await desk.faults('accept.decided');
    return { outcomes: decided, partitions: batch.draft.partitions };
  });
  await desk.faults('accept.durable');
  desk.wake(partitions);
  return outcomes;
}

const NOTHING = new Uint8Array(0);

interface Found {
  readonly rows: ReadonlyMap<Uuid, GroupRow>;
  /** Opened before, and held here, as the vault may forget them meanwhile. */
  readonly kept: ReadonlyMap<Send, Roster>;
  readonly rosters: ReadonlyMap<Uuid, Uint8Array>;
  /** Sealed answers by group and digest. */
  readonly answers: Map<string, Uint8Array>;
}

/** What one transaction knows of the groups that it locked, and what it is going to write. */
class Batch {
  readonly draft: OutboxDraft;
  readonly #desk: Desk;
  readonly #found: Found;
  readonly #now: number;
  readonly #accepted: { id: Uuid; digest: Uint8Array; sealed: Uint8Array }[] = [];

  private constructor(desk: Desk, draft: OutboxDraft, found: Found) {
    this.#desk = desk;
    this.draft = draft;
    this.#found = found;
    this.#now = desk.clock.now();
  }

  static async open(
    desk: Desk,
    tx: Executor,
    sends: readonly Send[],
    digests: readonly Uint8Array[],
  ): Promise<Batch> {
    const ids = [...new Set(sends.map(({ ear }) => ear.groupId.uuid))];
    const keys = sends.map(({ ear }, at) => ({
      id: ear.groupId.uuid,
      digest: digests[at] ?? NOTHING,
    }));
    // One round trip. Statements of their own, run behind the lock: they see what its last holders committed.
    const [rows, heads, earlier] = await Promise.all([
      lockGroups(tx, ids),
      findHeads(tx, ids),
      findAccepted(tx, keys),
    ]);
    const kept = new Map<Send, Roster>();
    const cold = new Set<Uuid>();
    for (const send of sends) {
      const row = rows.get(send.ear.groupId.uuid);
      const roster = row === undefined ? undefined : desk.vault.keptRoster(send.ear, row);
      if (roster !== undefined) kept.set(send, roster);
      else if (row !== undefined) cold.add(row.id);
    }
    const isWarm = cold.size === 0;
    const rosters = isWarm ? new Map<Uuid, Uint8Array>() : await findRosters(tx, [...cold]);
    const answers = new Map(earlier.map(({ id, digest, sealed }) => [nameOf(id, digest), sealed]));
    return new Batch(desk, new OutboxDraft(desk.keys, heads), { rows, kept, rosters, answers });
  }

  decide(send: Send, digest: Uint8Array): Outcome {
    try {
      return this.#accept(send, digest);
    } catch (error) {
      if (error instanceof Failure) return { refusal: error };
      throw error;
    }
  }

  async write(tx: Executor): Promise<void> {
    if (this.#accepted.length === 0) return;
    const used = new Set(this.#accepted.map(({ id }) => id));
    const rows = [...this.#found.rows.values()].filter(({ id }) => used.has(id));
    await Promise.all([
      this.draft.write(tx),
      insertAccepted(tx, this.#accepted, dayOf(this.#now)),
      touchGroups(tx, rows, monthOf(this.#now)),
    ]);
  }

  #accept(send: Send, digest: Uint8Array): Sent {
    const { ear, message } = send;
    const view = this.#open(send);
    const { row, roster, member } = view;
    const name = nameOf(row.id, digest);
    const earlier = this.#found.answers.get(name);
    if (earlier !== undefined) {
      const { acceptedAtMs } = openAnswer(ear, digest, earlier, member.signatureKey);
      return { acceptedAtMs, seemsDue: false };
    }
    assertHeard(view);
    if (!roster.speaking.has(member.role)) {
      throw new Failure('NOT_ALLOWED', 'your role in this room does not let you write');
    }
    admitEpoch(message.epoch, row.epoch, BigInt(this.#desk.config.limits.epochTolerance));

    const acceptedAtMs = BigInt(this.#now);
    const groupEvent = encodeGroupEvent({
      kind: 'application',
      groupId: ear.groupId,
      epoch: message.epoch,
      acceptedAtMs,
      mlsMessage: message.tls,
    });
    const recipients = toOthers(roster.members, member.leafIndex);
    this.draft.add(ear.groupId, { recipients, groupEvent, trace: send.trace });
    const answer = { epoch: message.epoch, acceptedAtMs, sender: member.signatureKey };
    const sealed = sealAnswer(ear, digest, answer);
    this.#accepted.push({ id: row.id, digest, sealed });
    // The same message may stand in the same batch again.
    this.#found.answers.set(name, sealed);
    return { acceptedAtMs, seemsDue: isDue(this.#desk, view) };
  }

  #open(send: Send): MemberView {
    const { ear, key } = send;
    const row = this.#found.rows.get(ear.groupId.uuid);
    if (row === undefined) throw groupUnknown();
    const kept = this.#found.kept.get(send) ?? this.#desk.vault.keptRoster(ear, row);
    const sealed = this.#found.rosters.get(row.id);
    const roster = kept ?? (sealed && this.#desk.vault.openRoster(ear, row, sealed));
    if (roster === undefined) throw groupUnknown();
    return memberView({ ear, row, roster }, key);
  }
}

function nameOf(id: Uuid, digest: Uint8Array): string {
  return `${id} ${toHex(digest)}`;
}
