import { encodeGroupEvent } from '@roost/bus/group-event';
import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { monthOf } from '@roost/core/time';
import { authorizeRemoval } from '@roost/mls/authorize-proposal';
import { parseHandshake } from '@roost/mls/message';
import type { ProposalMessage } from '@roost/mls/message';
import { stageProposal } from '@roost/mls/stage';
import type { Executor } from '@roost/postgres/executor';
import type { ProposeRequest, ProposeResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { messageDigest, openAnswer, sealAnswer } from '../answers.ts';
import { dayOf } from '../config.ts';
import { change, draftOf, earOf, mlsGroupId, tlsOf } from '../desk.ts';
import type { Decided, Desk } from '../desk.ts';
import { waitingOf } from '../commit-effect.ts';
import { encodeRoster, withMember } from '../domain/roster.ts';
import type { Member } from '../domain/roster.ts';
import type { Ear } from '../ear.ts';
import { toOthers } from '../fan-out.ts';
import { groupWithPending } from '../pending.ts';
import { advanceGroup, putRoster } from '../store/groups.ts';
import { findAccepted, insertAccepted, insertLog } from '../store/log.ts';
import type { MemberView } from '../vault.ts';
import { conflictOf, isLate } from './commit.ts';

export async function propose(
  desk: Desk,
  request: ProposeRequest,
  key: Uint8Array,
): Promise<ProposeResponse> {
  const ear = earOf(desk, request);
  const message = parseProposal(ear, tlsOf(request.proposal, 'proposal'));
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, key);
    return await decide(desk, tx, { view, message });
  });
}

interface Submitted {
  readonly view: MemberView;
  readonly message: ProposalMessage;
}

function parseProposal(ear: Ear, tls: Uint8Array): ProposalMessage {
  const message = parseHandshake(tls);
  if (message.kind !== 'proposal') throw malformed('proposal', 'is not a Proposal');
  if (equal(message.groupId, mlsGroupId(ear.groupId))) return message;
  throw malformed('proposal', 'is for another group than group_id');
}

async function decide(
  desk: Desk,
  tx: Executor,
  submitted: Submitted,
): Promise<Decided<ProposeResponse>> {
  const { view, message } = submitted;
  const { ear, row, member } = view;
  const digest = messageDigest(desk.crypto, ear, message.tls);
  const [earlier] = await findAccepted(tx, [{ id: row.id, digest }]);
  if (earlier !== undefined) {
    const { epoch, acceptedAtMs } = openAnswer(ear, digest, earlier.sealed, member.signatureKey);
    return { response: { result: { $case: 'accepted', value: { epoch, acceptedAtMs } } } };
  }
  if (member.isLeaving) throw new Failure('NOT_ALLOWED', 'whoever leaves is heard no more');
  if (isLate(message, row.epoch)) {
    const value = await conflictOf(desk, tx, view, message.epoch);
    return { response: { result: { $case: 'conflict', value } } };
  }

  assertLeaves(message, member);
  const group = await groupWithPending(desk, tx, view);
  stageProposal(group, message, desk.clock.now());
  const by = { who: member.participant, form: 'by-reference' as const };
  authorizeRemoval(waitingOf(group, view.roster), { leafIndex: member.leafIndex, by });
  const acceptedAtMs = BigInt(desk.clock.now());
  const accepted = await accept(desk, tx, submitted, { digest, acceptedAtMs });
  const value = { epoch: row.epoch, acceptedAtMs };
  return { response: { result: { $case: 'accepted', value } }, ...accepted };
}

/** Of all proposals only one is taken ahead of its commit: the Remove of oneself. */
function assertLeaves({ sender, proposal }: ProposalMessage, member: Member): void {
  if (sender.senderType !== 'member' || sender.leafIndex !== member.leafIndex) {
    throw new Failure('NOT_ALLOWED', 'the proposal is not of the member that signed the request');
  }
  if ('remove' in proposal && proposal.remove.removed === member.leafIndex) return;
  throw new Failure('NOT_ALLOWED', 'only leaving is proposed ahead of a commit');
}

async function accept(
  desk: Desk,
  tx: Executor,
  { view, message }: Submitted,
  { digest, acceptedAtMs }: { readonly digest: Uint8Array; readonly acceptedAtMs: bigint },
): Promise<Omit<Decided<never>, 'response'>> {
  const { ear, row, roster, member } = view;
  const now = Number(acceptedAtMs);
  const event = encodeGroupEvent({
    kind: 'proposal',
    groupId: ear.groupId,
    epoch: row.epoch,
    acceptedAtMs,
    mlsMessage: message.tls,
  });
  const draft = await draftOf(desk, tx, ear);
  const recipients = toOthers(roster.members, member.leafIndex);
  draft.add(ear.groupId, { recipients, groupEvent: event });

  const next = withMember(roster, { ...member, isLeaving: true });
  const version = row.rosterVersion + 1n;
  const members = encodeRoster(next);
  // Each who leaves has one proposal in the log of this epoch.
  const position = roster.members.filter(({ isLeaving }) => isLeaving).length;
  const sealed = ear.seal({ kind: 'log', epoch: row.epoch, position }, event);
  const answer = { epoch: row.epoch, acceptedAtMs, sender: member.signatureKey };
  await Promise.all([
    advanceGroup(tx, row.id, row.epoch, version, monthOf(now)),
    putRoster(tx, row.id, ear.seal({ kind: 'roster', version }, members)),
    insertLog(tx, row.id, { epoch: row.epoch, position, isCommit: false, sealed }, dayOf(now)),
    insertAccepted(
      tx,
      [{ id: row.id, digest, sealed: sealAnswer(ear, digest, answer) }],
      dayOf(now),
    ),
    draft.write(tx),
  ]);
  const keep = (): void =>
    desk.vault.keepRoster(ear, { ...row, rosterVersion: version }, next, members.length);
  return { partitions: draft.partitions, keep };
}
