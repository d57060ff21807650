import { encodeGroupEvent } from '@roost/bus/group-event';
import { assert } from '@roost/core/assert';
import { monthOf } from '@roost/core/time';
import type { CommitMessage } from '@roost/mls/message';
import type { PublicGroup } from '@roost/mls/public-group';
import { encodePublicGroup } from '@roost/mls/stored';
import type { Executor } from '@roost/postgres/executor';
import type { Accepted } from './answered.ts';
import { sealAnswer } from './answers.ts';
import { dayOf } from './config.ts';
import type { Decided, Desk } from './desk.ts';
import { withLeavers } from './domain/due.ts';
import {
  awaitedEpochs,
  encodeRoster,
  isSameRoster,
  rosterOf,
  withMember,
} from './domain/roster.ts';
import type { Roster } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import { toOthers } from './fan-out.ts';
import type { Addressee, Delivery, OutboxDraft } from './fan-out.ts';
import { encodeJoinInfo, joinInfoOf } from './join-info.ts';
import { logProposals } from './proposing.ts';
import { deletePublicRoom } from './store/directory.ts';
import {
  advanceGroup,
  insertJoinInfo,
  keepJoinInfos,
  putRoster,
  putState,
} from './store/groups.ts';
import type { GroupRow } from './store/groups.ts';
import { insertAccepted, insertLog } from './store/log.ts';
import { dueNow, policyEvent } from './tending.ts';

/** A commit that was found good, and what it leads to. */
export interface EpochChange {
  readonly ear: Ear;
  /** As the transaction found it, under its lock. */
  readonly row: GroupRow;
  readonly draft: OutboxDraft;
  readonly message: CommitMessage;
  readonly digest: Uint8Array;
  readonly sender: Uint8Array;
  /** The place of whoever committed, in the epoch that begins. */
  readonly actor: number;
  readonly acceptedAtMs: bigint;
  readonly group: PublicGroup;
  /** Of the epoch that ends. */
  readonly before: Roster;
  readonly roster: Roster;
  /** Who gets the commit: all of the epoch that ends, also those that it removes. */
  readonly recipients: readonly Addressee[];
  /** Sent behind the commit. */
  readonly welcomes: readonly Addressee[];
}

/** What an epoch change does after its transaction, and what its committer is told. */
export interface EpochBegun {
  readonly accepted: Accepted;
  readonly after: Omit<Decided<never>, 'response'>;
}

/**
 * Brings a group into its next epoch: everything that follows from a commit, in its transaction. With
 * it goes what the hub proposes for that epoch: what an external commit ended, and what is due.
 */
export async function advance(desk: Desk, tx: Executor, changed: EpochChange): Promise<EpochBegun> {
  const { ear, row, draft, group, digest, acceptedAtMs } = changed;
  const now = Number(acceptedAtMs);
  const begun = { ...row, epoch: row.epoch + 1n, usedMonth: monthOf(now) };
  const event = commitEvent(changed);
  draft.add(ear.groupId, { recipients: changed.recipients, groupEvent: event });
  draft.add(ear.groupId, { recipients: changed.welcomes, groupEvent: NOTHING });
  const { roster, deliveries } = await followUp(desk, tx, changed, begun);
  // Who merely renews keys leaves the roster as it is, which is as large as the tree.
  const isSame = isSameRoster(changed.before, roster);
  const next = { ...begun, rosterVersion: row.rosterVersion + (isSame ? 0n : 1n) };
  for (const delivery of deliveries) draft.add(ear.groupId, delivery);

  const state = encodePublicGroup(group);
  const members = isSame ? undefined : encodeRoster(roster);
  const { sender } = changed;
  const answer = { epoch: next.epoch, acceptedAtMs, sender, followed: deliveries.length };
  const sealed = sealAnswer(ear, digest, answer);
  const rosterPlace = { kind: 'roster', version: next.rosterVersion } as const;
  await Promise.all([
    advanceGroup(tx, row.id, next.epoch, next.rosterVersion, next.usedMonth),
    members === undefined ? undefined : putRoster(tx, row.id, ear.seal(rosterPlace, members)),
    putState(tx, row.id, ear.seal({ kind: 'state', epoch: next.epoch }, state)),
    logCommit(tx, changed, event),
    logProposals(tx, { ear, row: next, deliveries, acceptedAtMs }, 0),
    insertAccepted(tx, [{ id: row.id, digest, sealed }], dayOf(now)),
    // Nobody enters a group that ended.
    roster.isFrozen ? deletePublicRoom(tx, row.id) : undefined,
    updateJoinInfos(tx, { ...changed, roster }, next.epoch),
    draft.write(tx),
  ]);
  const keep = (): void => {
    if (members !== undefined) desk.vault.keepRoster(ear, next, roster, members.length);
    desk.vault.keepState(ear, next, group, state.length);
  };
  const proposals = deliveries.map(({ groupEvent }) => ({ epoch: next.epoch, event: groupEvent }));
  return {
    accepted: { epoch: next.epoch, acceptedAtMs, proposals },
    after: { partitions: draft.partitions, keep },
  };
}

/** What the hub proposes for the epoch that begins, and the roster with it. */
async function followUp(
  desk: Desk,
  tx: Executor,
  { ear, group, roster, actor, acceptedAtMs }: EpochChange,
  row: GroupRow,
): Promise<{ readonly roster: Roster; readonly deliveries: readonly Delivery[] }> {
  const active = withActive(roster, actor, row.usedMonth);
  if (active.isFrozen) return { roster: active, deliveries: [] };
  const tended = { ear, row, group, roster: active, actor, acceptedAtMs };
  const { leaves, events } = await dueNow(desk, tx, tended);
  // A policy stands alone in its commit: it waits until nobody has to go.
  const policy = events.length === 0 ? policyEvent(desk, tended) : undefined;
  const all = policy === undefined ? events : [policy];
  const recipients = toOthers(active.members, undefined);
  const left = withLeavers(active, leaves);
  return {
    roster:
      left.pending === all.length ? left : rosterOf(left.members, { ...left, pending: all.length }),
    deliveries: all.map((groupEvent) => ({ recipients, groupEvent })),
  };
}

function withActive(roster: Roster, actor: number, activeMonth: number): Roster {
  const member = roster.members.find(({ leafIndex }) => leafIndex === actor);
  assert(member !== undefined, 'whoever commits is in the group that it leads to');
  return member.activeMonth === activeMonth
    ? roster
    : withMember(roster, { ...member, activeMonth });
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
