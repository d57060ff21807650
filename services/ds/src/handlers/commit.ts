import { encodeGroupEvent } from '@roost/bus/group-event';
import { equal, toHex } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { handshakeBytesMax, parseHandshake, splitWelcomes } from '@roost/mls/message';
import type { CommitMessage } from '@roost/mls/message';
import { merge } from '@roost/mls/public-group';
import type { StagedCommit } from '@roost/mls/public-group';
import { stageCommit } from '@roost/mls/stage';
import type { Executor } from '@roost/postgres/executor';
import type { CommitRequest, CommitResponse } from '@roost/proto/roost/delivery/v1/delivery';
import { answeredBefore } from '../answered.ts';
import { messageDigest } from '../answers.ts';
import { judgeCommit } from '../commit-effect.ts';
import { change, draftOf, earOf, mlsGroupId, tlsOf } from '../desk.ts';
import type { Decided, Desk } from '../desk.ts';
import { rosterAfter } from '../domain/commit.ts';
import type { AddedMember } from '../domain/commit.ts';
import { advance } from '../epoch-change.ts';
import { toOthers } from '../fan-out.ts';
import type { Addressee } from '../fan-out.ts';
import { logPage } from '../log-events.ts';
import { groupWithPending } from '../pending.ts';
import { assertHeard } from '../standing.ts';
import type { MemberView, Opened } from '../vault.ts';

export async function commit(
  desk: Desk,
  request: CommitRequest,
  key: Uint8Array,
): Promise<CommitResponse> {
  desk.backlog.assertRoom();
  const ear = earOf(desk, request);
  const submitted = { tls: tlsOf(request.commit, 'commit'), ...bundleOf(request) };
  return await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, key);
    return await decide(desk, tx, { view, ...submitted });
  });
}

/**
 * Parses a commit for this group, once its sender was found to belong here, and no longer than a group
 * of this size can need: whatever is longer is not looked at.
 */
export function parseCommit({ ear, roster }: Opened, tls: Uint8Array, adds = 0): CommitMessage {
  const bytesMax = handshakeBytesMax(roster.members.length + adds, adds);
  if (tls.length > bytesMax) {
    throw new Failure('TOO_LARGE', `a commit of this group is at most ${bytesMax} bytes long`);
  }
  const message = parseHandshake(tls);
  if (message.kind !== 'commit') throw malformed('commit', 'is not a Commit');
  if (!equal(message.groupId, mlsGroupId(ear.groupId))) {
    throw malformed('commit', 'is for another group than group_id');
  }
  return message;
}

/** Refuses an epoch that is not there yet, and says whether the race for it is lost. */
export function isLate(message: { readonly epoch: bigint }, current: bigint): boolean {
  if (message.epoch <= current) return message.epoch < current;
  throw new Failure('EPOCH_UNKNOWN', 'the message is of an epoch that is not reached yet', {
    currentEpoch: current,
  });
}

/** What was lost to another commit: the epoch now, and what the caller did not see. */
export async function conflictOf(desk: Desk, tx: Executor, view: MemberView, epoch: bigint) {
  desk.events.epochConflict();
  const page = await logPage(desk, tx, view, epoch);
  return { currentEpoch: view.row.epoch, events: page?.events ?? [] };
}

interface Bundle {
  readonly groupInfo: Uint8Array;
  readonly welcome: Uint8Array | undefined;
  /** By the hex of the KeyPackageRef. */
  readonly joinerInfos: ReadonlyMap<string, Uint8Array>;
}

interface Submitted extends Bundle {
  readonly view: MemberView;
  readonly tls: Uint8Array;
}

function bundleOf(request: CommitRequest): Bundle {
  const groupInfo = tlsOf(request.groupInfo, 'group_info');
  const welcome = request.welcome === undefined ? undefined : tlsOf(request.welcome, 'welcome');
  if (request.joinerInfos.length > JOINERS_MAX) {
    throw malformed('joiner_infos', `has more than ${JOINERS_MAX} entries`);
  }
  const joinerInfos = new Map<string, Uint8Array>();
  for (const { keyPackageRef, sealed } of request.joinerInfos) {
    if (keyPackageRef.length !== REF_BYTES) {
      throw malformed('joiner_infos.key_package_ref', 'is not 32 bytes long');
    }
    if (sealed.length === 0 || sealed.length > JOINER_INFO_BYTES_MAX) {
      throw malformed('joiner_infos.sealed', `is not 1 to ${JOINER_INFO_BYTES_MAX} bytes long`);
    }
    if (joinerInfos.has(toHex(keyPackageRef))) {
      throw malformed('joiner_infos', 'names a KeyPackage twice');
    }
    joinerInfos.set(toHex(keyPackageRef), sealed);
  }
  return { groupInfo, welcome, joinerInfos };
}

async function decide(
  desk: Desk,
  tx: Executor,
  submitted: Submitted,
): Promise<Decided<CommitResponse>> {
  const { view, tls } = submitted;
  const { ear, row, roster, member } = view;
  const digest = messageDigest(desk.crypto, ear, tls);
  const earlier = await answeredBefore(tx, view, digest, member.signatureKey);
  if (earlier !== undefined) return { response: { result: { $case: 'accepted', value: earlier } } };
  assertHeard(view);
  const message = parseCommit(view, tls, submitted.joinerInfos.size);
  if (isLate(message, row.epoch)) {
    const value = await conflictOf(desk, tx, view, message.epoch);
    return { response: { result: { $case: 'conflict', value } } };
  }

  const group = await groupWithPending(desk, tx, view);
  const { groupInfo, welcome } = submitted;
  const staged = stageCommit(group, message, { groupInfo, welcome, now: desk.clock.now() });
  if (staged.actor.kind !== 'member' || staged.actor.leafIndex !== member.leafIndex) {
    throw new Failure('NOT_ALLOWED', 'the commit is not of the member that signed the request');
  }
  const effect = judgeCommit(desk, group, { roster, committer: member }, staged);
  const acceptedAtMs = BigInt(desk.clock.now());
  const { accepted: value, after } = await advance(desk, tx, {
    ear,
    row,
    draft: await draftOf(desk, tx, ear),
    message,
    digest,
    sender: member.signatureKey,
    actor: member.leafIndex,
    acceptedAtMs,
    group: merge(staged),
    before: roster,
    roster: rosterAfter(roster, effect, row.epoch + 1n),
    recipients: toOthers(roster.members, member.leafIndex),
    welcomes: welcomesOf(submitted, staged, effect.added, acceptedAtMs),
  });
  return { response: { result: { $case: 'accepted', value } }, ...after };
}

/** Each joiner gets the Welcome with its own secrets only. */
function welcomesOf(
  { view, welcome, joinerInfos }: Submitted,
  { added }: StagedCommit,
  members: readonly AddedMember[],
  acceptedAtMs: bigint,
): Addressee[] {
  const refs = added.map(({ keyPackageRef }) => keyPackageRef);
  const isMatch =
    refs.length === joinerInfos.size && refs.every((ref) => joinerInfos.has(toHex(ref)));
  if (!isMatch) {
    throw new Failure('WELCOME_MISMATCH', 'joiner_infos are not for exactly those who are added');
  }
  const split = refs.length === 0 ? [] : splitWelcomes(welcome ?? NOTHING, refs);
  return members.map(({ queue }, at) => {
    const keyPackageRef = refs[at] ?? NOTHING;
    const extra = encodeGroupEvent({
      kind: 'welcome',
      groupId: view.ear.groupId,
      epoch: view.row.epoch + 1n,
      acceptedAtMs,
      mlsMessage: split[at] ?? NOTHING,
      joiner: { keyPackageRef, joinerInfo: joinerInfos.get(toHex(keyPackageRef)) ?? NOTHING },
    });
    return { queue, extra };
  });
}

const NOTHING = new Uint8Array(0);
const REF_BYTES = 32;
const JOINERS_MAX = 1_024;
const JOINER_INFO_BYTES_MAX = 4_096;
