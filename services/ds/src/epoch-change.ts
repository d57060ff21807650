import { encodeGroupEvent } from '@roost/bus/group-event';
import { monthOf } from '@roost/core/time';
import type { CommitMessage } from '@roost/mls/message';
import type { PublicGroup } from '@roost/mls/public-group';
import { encodePublicGroup } from '@roost/mls/stored';
import type { Executor } from '@roost/postgres/executor';
import { sealAnswer } from './answers.ts';
import { dayOf } from './config.ts';
import type { Decided, Desk } from './desk.ts';
import { awaitedEpochs, encodeRoster } from './domain/roster.ts';
import type { Roster } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import type { Addressee, OutboxDraft } from './fan-out.ts';
import { encodeJoinInfo, joinInfoOf } from './join-info.ts';
import {
  advanceGroup,
  insertJoinInfo,
  keepJoinInfos,
  putRoster,
  putState,
} from './store/groups.ts';
import type { GroupRow } from './store/groups.ts';
import { insertAccepted, insertLog } from './store/log.ts';

/** A commit that was found good, and what it leads to. */
export interface EpochChange {
  readonly ear: Ear;
  /** As the transaction found it, under its lock. */
  readonly row: GroupRow;
  readonly draft: OutboxDraft;
  readonly message: CommitMessage;
  readonly digest: Uint8Array;
  readonly sender: Uint8Array;
  readonly acceptedAtMs: bigint;
  readonly group: PublicGroup;
  readonly roster: Roster;
  /** Who gets the commit: all of the epoch that ends, also those that it removes. */
  readonly recipients: readonly Addressee[];
  /** Sent behind the commit. */
  readonly welcomes: readonly Addressee[];
}

/** Brings a group into its next epoch: everything that follows from a commit, in its transaction. */
export async function advance(
  desk: Desk,
  tx: Executor,
  changed: EpochChange,
): Promise<Omit<Decided<never>, 'response'>> {
  const { ear, row, draft, group, roster, digest } = changed;
  const now = Number(changed.acceptedAtMs);
  const next = {
    id: row.id,
    epoch: row.epoch + 1n,
    rosterVersion: row.rosterVersion + 1n,
    usedMonth: monthOf(now),
  };
  const event = commitEvent(changed);
  draft.add(ear.groupId, { recipients: changed.recipients, groupEvent: event });
  draft.add(ear.groupId, { recipients: changed.welcomes, groupEvent: NOTHING });

  const state = encodePublicGroup(group);
  const members = encodeRoster(roster);
  const rosterPlace = { kind: 'roster', version: next.rosterVersion } as const;
  await Promise.all([
    advanceGroup(tx, row.id, next.epoch, next.rosterVersion, next.usedMonth),
    putRoster(tx, row.id, ear.seal(rosterPlace, members)),
    putState(tx, row.id, ear.seal({ kind: 'state', epoch: next.epoch }, state)),
    logCommit(tx, changed, event),
    insertAccepted(tx, [{ id: row.id, digest, sealed: answerOf(changed, next.epoch) }], dayOf(now)),
    updateJoinInfos(tx, changed, next.epoch),
    draft.write(tx),
  ]);
  const keep = (): void => {
    desk.vault.keepRoster(ear, next, roster, members.length);
    desk.vault.keepState(ear, next, group, state.length);
  };
  return { partitions: draft.partitions, keep };
}

const NOTHING = new Uint8Array(0);

function commitEvent({ ear, row, message, acceptedAtMs }: EpochChange): Uint8Array {
  return encodeGroupEvent({
    kind: 'commit',
    groupId: ear.groupId,
    epoch: row.epoch,
    acceptedAtMs,
    mlsMessage: message.tls,
  });
}

/** Behind the proposals of the epoch. The unique index is the last word on who won it. */
async function logCommit(
  tx: Executor,
  { ear, row, acceptedAtMs }: EpochChange,
  event: Uint8Array,
): Promise<void> {
  const { epoch } = row;
  const place = { kind: 'log', epoch, position: COMMIT_POSITION } as const;
  const entry = {
    epoch,
    position: COMMIT_POSITION,
    isCommit: true,
    sealed: ear.seal(place, event),
  };
  await insertLog(tx, row.id, entry, dayOf(Number(acceptedAtMs)));
}

/** Behind all proposals that an epoch can have. */
const COMMIT_POSITION = 1_000_000;

function answerOf({ ear, digest, acceptedAtMs, sender }: EpochChange, epoch: bigint): Uint8Array {
  return sealAnswer(ear, digest, { epoch, acceptedAtMs, sender });
}

async function updateJoinInfos(
  tx: Executor,
  { ear, row, group, roster, welcomes, acceptedAtMs }: EpochChange,
  epoch: bigint,
): Promise<void> {
  await keepJoinInfos(tx, row.id, awaitedEpochs(roster));
  if (welcomes.length === 0) return;
  const info = encodeJoinInfo(joinInfoOf(group, roster));
  const sealed = ear.seal({ kind: 'join-info', epoch }, info);
  await insertJoinInfo(tx, row.id, epoch, sealed, dayOf(Number(acceptedAtMs)));
}
