import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { encodeAddedLeaf } from '@roost/identity/leaf';
import { leafOf, merge } from '@roost/mls/public-group';
import type { PublicGroup, StagedCommit } from '@roost/mls/public-group';
import { participantBytes } from '@roost/mls/room';
import { stageCommit } from '@roost/mls/stage';
import type { Executor } from '@roost/postgres/executor';
import type { ResyncRequest, ResyncResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { answeredBefore } from '../answered.ts';
import { messageDigest } from '../answers.ts';
import { authorizeEntry } from '../commit-effect.ts';
import { change, draftOf, earOf, tlsOf } from '../desk.ts';
import type { Asker, Decided, Desk } from '../desk.ts';
import { countResync, rosterAfterResync } from '../domain/resync.ts';
import type { QueueConfig } from '../domain/roster.ts';
import { advance } from '../epoch-change.ts';
import { toOthers } from '../fan-out.ts';
import {
  assertPseudonym,
  assertSameLeaf,
  linkOf,
  parseDeclaredLeaves,
  parseQueueConfig,
} from '../leaves.ts';
import { assertHeard } from '../standing.ts';
import type { MemberView } from '../vault.ts';
import { isLate, parseCommit } from './commit.ts';

export async function resync(
  desk: Desk,
  request: ResyncRequest,
  { key, from }: Asker,
): Promise<ResyncResponse> {
  desk.backlog.assertRoom();
  const ear = earOf(desk, request);
  const { queueConfig } = request;
  const submitted = {
    tls: tlsOf(request.commit, 'commit'),
    groupInfo: tlsOf(request.groupInfo, 'group_info'),
    queue:
      queueConfig.length === 0 ? undefined : parseQueueConfig(queueConfig, from, 'queue_config'),
  };
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, key);
    return await decide(desk, tx, view, submitted);
  });
}

interface Submitted {
  readonly tls: Uint8Array;
  readonly groupInfo: Uint8Array;
  /** Absent where it stays. */
  readonly queue: QueueConfig | undefined;
}

async function decide(
  desk: Desk,
  tx: Executor,
  view: MemberView,
  { tls, groupInfo, queue }: Submitted,
): Promise<Decided<ResyncResponse>> {
  const { ear, row, roster, member } = view;
  const digest = messageDigest(desk.crypto, ear, tls);
  const earlier = await answeredBefore(tx, view, digest, member.signatureKey);
  if (earlier !== undefined) return { response: { result: { $case: 'accepted', value: earlier } } };
  assertHeard(view);
  const now = desk.clock.now();
  const resyncs = countResync(member.resyncs, now, desk.config.limits.resyncsPerDay);
  const message = parseCommit(view, tls);
  if (isLate(message, row.epoch)) {
    desk.events.epochConflict();
    const value = { currentEpoch: row.epoch, events: [] };
    return { response: { result: { $case: 'conflict', value } } };
  }

  const group = await desk.vault.state(tx, ear, row);
  const staged = stageCommit(group, message, { groupInfo, now });
  const leafIndex = judgeReturn(group, view, staged);
  const place = { leafIndex, queue: queue ?? member.queue, epoch: row.epoch + 1n, resyncs };
  const { accepted: value, after } = await advance(desk, tx, {
    ear,
    row,
    draft: await draftOf(desk, tx, ear),
    message,
    digest,
    sender: member.signatureKey,
    actor: leafIndex,
    acceptedAtMs: BigInt(now),
    group: merge(staged),
    before: roster,
    roster: rosterAfterResync(roster, member, place),
    recipients: toOthers(roster.members, member.leafIndex),
    welcomes: [],
  });
  return { response: { result: { $case: 'accepted', value } }, ...after };
}

/**
 * Refuses whatever does more than put the caller's new leaf in the place of its old one; gives the
 * place that it gets. What the others hold of it stays: key, pseudonym, link key, participant.
 */
function judgeReturn(
  group: PublicGroup,
  { roster, member }: MemberView,
  staged: StagedCommit,
): number {
  const { actor, next } = staged;
  if (actor.kind !== 'joiner') {
    throw new Failure('INVALID_MLS', 'the commit is not an external one (RFC 9420 §12.4.3.2)');
  }
  const leaf = leafOf(next, actor.leafIndex);
  if (leaf === undefined || !equal(leaf.signaturePublicKey, member.signatureKey)) {
    throw new Failure('NOT_ALLOWED', 'the commit is not of the leaf key that signed the request');
  }
  if (staged.removed.length !== 1 || staged.removed[0] !== member.leafIndex) {
    throw new Failure('NOT_ALLOWED', 'whoever comes back removes the own old leaf, and no other');
  }
  assertPseudonym(leaf);
  assertSameLeaf(group, next, member.leafIndex, actor.leafIndex);
  const declared = parseDeclaredLeaves(staged.authenticatedData).map((each) =>
    encodeAddedLeaf({
      leafSignatureKey: each.leafSignatureKey,
      participantId: participantBytes(each.participant),
      wrappedLinkKey: each.wrappedLinkKey,
    }),
  );
  const [only = NOTHING] = declared;
  if (declared.length !== 1 || !equal(only, linkOf(member).addedLeaf)) {
    throw new Failure('NOT_ALLOWED', 'whoever comes back is declared as before');
  }
  authorizeEntry(group, roster, staged, member.participant);
  return actor.leafIndex;
}

const NOTHING = new Uint8Array(0);
