import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { monthOf } from '@roost/core/time';
import { authorize } from '@roost/mls/authorize';
import { leafOf, merge, roomOf, treeBytes } from '@roost/mls/public-group';
import type { PublicGroup, StagedCommit } from '@roost/mls/public-group';
import { parseParticipantId } from '@roost/mls/room';
import type { RoomState } from '@roost/mls/room';
import { stageCommit } from '@roost/mls/stage';
import type { Executor } from '@roost/postgres/executor';
import type {
  GetExternalJoinInfoRequest,
  GetExternalJoinInfoResponse,
  JoinGroupRequest,
  JoinGroupResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { answeredBefore } from '../answered.ts';
import { messageDigest } from '../answers.ts';
import { authorizeEntry } from '../commit-effect.ts';
import { change, draftOf, earOf, look, tlsOf } from '../desk.ts';
import type { Asker, Decided, Desk } from '../desk.ts';
import { matchDeclared, rosterAfterJoin } from '../domain/commit.ts';
import type { AddedMember } from '../domain/commit.ts';
import { memberOfKey, participantsOf } from '../domain/roster.ts';
import type { QueueConfig } from '../domain/roster.ts';
import { advance } from '../epoch-change.ts';
import { toOthers } from '../fan-out.ts';
import { assertPseudonym, linkOf, parseDeclaredLeaves, parseQueueConfig } from '../leaves.ts';
import { groupUnknown } from '../vault.ts';
import type { Opened } from '../vault.ts';
import { isLate, parseCommit } from './commit.ts';

export async function getExternalJoinInfo(
  desk: Desk,
  request: GetExternalJoinInfoRequest,
): Promise<GetExternalJoinInfoResponse> {
  const ear = earOf(desk, request);
  return await look(desk, async (tx) => {
    const opened = await desk.vault.look(tx, ear);
    const group = await desk.vault.state(tx, ear, opened.row);
    assertMayJoin(desk, { ...opened, group }, request.joinSecret);
    if (request.joinSecret.length === 0) assertIsLetIn(group, opened, request.participant);
    return {
      groupInfo: { tls: group.groupInfoTls },
      ratchetTree: { tls: treeBytes(group) },
      links: opened.roster.members.map(linkOf),
    };
  });
}

export async function joinGroup(
  desk: Desk,
  request: JoinGroupRequest,
  { key, from }: Asker,
): Promise<JoinGroupResponse> {
  desk.backlog.assertRoom();
  const ear = earOf(desk, request);
  const submitted = {
    tls: tlsOf(request.commit, 'commit'),
    key,
    joinSecret: request.joinSecret,
    groupInfo: tlsOf(request.groupInfo, 'group_info'),
    queue: parseQueueConfig(request.queueConfig, from, 'queue_config'),
  };
  return await change(desk, ear, async (tx) => {
    const opened = await desk.vault.lock(tx, ear);
    return await decide(desk, tx, opened, submitted);
  });
}

interface Submitted {
  readonly key: Uint8Array;
  readonly joinSecret: Uint8Array;
  readonly tls: Uint8Array;
  readonly groupInfo: Uint8Array;
  readonly queue: QueueConfig;
}

async function decide(
  desk: Desk,
  tx: Executor,
  opened: Opened,
  submitted: Submitted,
): Promise<Decided<JoinGroupResponse>> {
  const { key, tls } = submitted;
  const { ear, row, roster } = opened;
  const digest = messageDigest(desk.crypto, ear, tls);
  // Who joined by this very commit is a member by now, and asks again.
  const isMember = memberOfKey(roster, key) !== undefined;
  const earlier = isMember ? await answeredBefore(tx, opened, digest, key) : undefined;
  if (earlier !== undefined) return { response: { result: { $case: 'accepted', value: earlier } } };
  const group = await desk.vault.state(tx, ear, row);
  assertMayJoin(desk, { ...opened, group }, submitted.joinSecret);
  const message = parseCommit(opened, tls);
  if (isLate(message, row.epoch)) {
    desk.events.epochConflict();
    const value = { currentEpoch: row.epoch, events: [] };
    return { response: { result: { $case: 'conflict', value } } };
  }

  const now = desk.clock.now();
  const staged = stageCommit(group, message, { groupInfo: submitted.groupInfo, now });
  const joined = judgeJoin(desk, { group, ...opened }, submitted, staged);
  const epoch = row.epoch + 1n;
  const acceptedAtMs = BigInt(now);
  const { accepted: value, after } = await advance(desk, tx, {
    ear,
    row,
    draft: await draftOf(desk, tx, ear),
    message,
    digest,
    sender: key.slice(),
    actor: joined.joined.leafIndex,
    acceptedAtMs,
    group: merge(staged),
    before: roster,
    roster: rosterAfterJoin(roster, joined, epoch),
    recipients: toOthers(roster.members, undefined),
    welcomes: [],
  });
  return { response: { result: { $case: 'accepted', value } }, ...after };
}

/**
 * Into a public room everybody may come; into a connection, who has its secret. A used secret, a wrong
 * one and no group at all are one refusal.
 */
function assertMayJoin(
  { crypto }: Desk,
  { roster, group }: Opened & { readonly group: PublicGroup },
  joinSecret: Uint8Array,
): void {
  if (joinSecret.length === 0 && roomOf(group).kind === 'public') return;
  const { joinSecretHash } = roster;
  const isRight =
    joinSecretHash !== undefined && crypto.equal(crypto.sha256(joinSecret), joinSecretHash);
  if (!isRight || participantsOf(roster.members).length !== 1) throw groupUnknown();
}

/** Says before a join whether the policy of a public room would let this participant in. */
function assertIsLetIn(group: PublicGroup, { roster }: Opened, participant: Uint8Array): void {
  const place = { room: roomOf(group), participants: participantsOf(roster.members) };
  authorize(place, parseParticipantId(participant), { kind: 'external_join' }, 'external');
}

function judgeJoin(
  desk: Desk,
  { group, roster }: { readonly group: PublicGroup } & Opened,
  { key, queue }: Submitted,
  staged: StagedCommit,
): { readonly joined: AddedMember; readonly room: RoomState } {
  const { leafIndex } = staged.actor.kind === 'joiner' ? staged.actor : notExternal();
  const leaf = leafOf(staged.next, leafIndex);
  if (leaf === undefined || !equal(leaf.signaturePublicKey, key)) {
    throw new Failure('NOT_ALLOWED', 'the commit is not of the leaf key that signed the request');
  }
  if (staged.removed.length > 0) {
    throw new Failure('NOT_ALLOWED', 'whoever joins removes nobody');
  }
  assertPseudonym(leaf);
  const declared = parseDeclaredLeaves(staged.authenticatedData);
  matchDeclared([leaf.signaturePublicKey], declared);
  const { participant, wrappedLinkKey, leafSignatureKey } = declared[0] ?? notExternal();
  const room = authorizeEntry(group, roster, staged, participant);
  const signatureKey = leafSignatureKey;
  const activeMonth = monthOf(desk.clock.now());
  const joined = { leafIndex, signatureKey, participant, wrappedLinkKey, queue, activeMonth };
  return { joined, room };
}

function notExternal(): never {
  throw new Failure('INVALID_MLS', 'the commit is not an external one (RFC 9420 §12.4.3.2)');
}
