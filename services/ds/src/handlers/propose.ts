import { encodeGroupEvent } from '@roost/bus/group-event';
import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { authorize } from '@roost/mls/authorize';
import { authorizeRemoval } from '@roost/mls/authorize-proposal';
import { parseHandshake } from '@roost/mls/message';
import type { ProposalMessage } from '@roost/mls/message';
import { roomOf } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { stageProposal } from '@roost/mls/stage';
import type { Executor } from '@roost/postgres/executor';
import type { ProposeRequest, ProposeResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { answeredBefore } from '../answered.ts';
import { messageDigest, sealAnswer } from '../answers.ts';
import { assertSameExtensions, waitingOf } from '../commit-effect.ts';
import { change, earOf, mlsGroupId, tlsOf } from '../desk.ts';
import type { Decided, Desk } from '../desk.ts';
import { participantsOf, withMember } from '../domain/roster.ts';
import type { Roster } from '../domain/roster.ts';
import type { Ear } from '../ear.ts';
import { toOthers } from '../fan-out.ts';
import { groupWithPending } from '../pending.ts';
import { accept } from '../proposing.ts';
import { assertHeard } from '../standing.ts';
import { isDue, tend } from '../tend.ts';
import type { MemberView } from '../vault.ts';
import { conflictOf, isLate } from './commit.ts';

export async function propose(
  desk: Desk,
  request: ProposeRequest,
  key: Uint8Array,
): Promise<ProposeResponse> {
  desk.backlog.assertRoom();
  const ear = earOf(desk, request);
  const tls = tlsOf(request.proposal, 'proposal');
  const { response, seemsDue } = await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, key);
    const decided = await decide(desk, tx, view, tls);
    return { ...decided, response: { response: decided.response, seemsDue: isDue(desk, view) } };
  });
  if (seemsDue) await tend(desk, ear, key);
  return response;
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
  view: MemberView,
  tls: Uint8Array,
): Promise<Decided<ProposeResponse>> {
  const { ear, row, member } = view;
  const digest = messageDigest(desk.crypto, ear, tls);
  const earlier = await answeredBefore(tx, view, digest, member.signatureKey);
  if (earlier !== undefined) return { response: { result: { $case: 'accepted', value: earlier } } };
  assertHeard(view);
  const message = parseProposal(ear, tls);
  if (isLate(message, row.epoch)) {
    const value = await conflictOf(desk, tx, view, message.epoch);
    return { response: { result: { $case: 'conflict', value } } };
  }

  const { sender } = message;
  if (sender.senderType !== 'member' || sender.leafIndex !== member.leafIndex) {
    throw new Failure('NOT_ALLOWED', 'the proposal is not of the member that signed the request');
  }
  const group = await groupWithPending(desk, tx, view);
  stageProposal(group, message, desk.clock.now());
  const roster = judge(group, view, message);
  const acceptedAtMs = BigInt(desk.clock.now());
  const recipients = toOthers(roster.members, member.leafIndex);
  const deliveries = [{ recipients, groupEvent: eventOf(view, message, acceptedAtMs) }];
  const answer = { epoch: row.epoch, acceptedAtMs, sender: member.signatureKey };
  const accepted = await accept(desk, tx, {
    ...{ ear, row, roster, deliveries, acceptedAtMs },
    answer: { digest, sealed: sealAnswer(ear, digest, answer) },
  });
  const value = { epoch: row.epoch, acceptedAtMs, proposals: [] };
  return { response: { result: { $case: 'accepted', value } }, ...accepted };
}

/**
 * Holds a proposal against the rules of rooms, and gives the roster with it. Adds, Updates, PSKs and
 * ReInits come with their commit.
 */
function judge(group: PublicGroup, view: MemberView, { proposal }: ProposalMessage): Roster {
  if ('remove' in proposal) return judgeRemoval(group, view, proposal.remove.removed);
  if (!('groupContextExtensions' in proposal)) {
    throw new Failure('NOT_ALLOWED', 'this is done by a commit, not proposed ahead of one');
  }
  const { roster, member } = view;
  const { extensions } = proposal.groupContextExtensions;
  const after = { ...group, context: { ...group.context, extensions } };
  assertSameExtensions(group, after);
  // A commit changes the GroupContext once (RFC 9420 §12.2).
  const waiting = [...group.proposals.values()].some(
    ({ message }) => 'groupContextExtensions' in message.proposal,
  );
  if (waiting) {
    throw new Failure(
      'INVALID_PROPOSAL',
      'another room state is proposed already (RFC 9420 §12.2)',
    );
  }
  const place = { room: roomOf(group), participants: participantsOf(roster.members) };
  const wanted = { kind: 'room' as const, next: roomOf(after) };
  authorize(place, member.participant, wanted, 'by-reference');
  return roster;
}

/** Whom its own user takes out is heard no more, and is on the way out until it is gone. */
function judgeRemoval(
  group: PublicGroup,
  { roster, member }: MemberView,
  leafIndex: number,
): Roster {
  const removed = roster.members.find((each) => each.leafIndex === leafIndex);
  if (removed === undefined) throw new Failure('INVALID_PROPOSAL', 'a Remove names no member');
  const waiting = waitingOf(group, roster);
  if (waiting.pending.some((each) => each.leafIndex === leafIndex)) {
    throw new Failure(
      'INVALID_PROPOSAL',
      'the removal is proposed already: a commit removes a leaf once (RFC 9420 §12.2)',
    );
  }
  const by = { who: member.participant, form: 'by-reference' as const };
  authorizeRemoval(waiting, { leafIndex, by });
  const isOwn = removed.participant === member.participant;
  return isOwn ? withMember(roster, { ...removed, isLeaving: true }) : roster;
}

function eventOf(view: MemberView, message: ProposalMessage, acceptedAtMs: bigint): Uint8Array {
  return encodeGroupEvent({
    kind: 'proposal',
    groupId: view.ear.groupId,
    epoch: view.row.epoch,
    acceptedAtMs,
    mlsMessage: message.tls,
  });
}
