import { equal } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import { monthOf } from '@roost/core/time';
import { hasOnlySender } from '@roost/mls/hub';
import { createPublicGroup, leafOf, membersOf, roomOf } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { roleOf } from '@roost/mls/room';
import { encodePublicGroup } from '@roost/mls/stored';
import type { Executor } from '@roost/postgres/executor';
import type {
  CreateGroupRequest,
  CreateGroupResponse,
} from '@roost/proto/roost/delivery/v1/delivery';
import { openAnswer, sealAnswer } from '../answers.ts';
import { dayOf } from '../config.ts';
import { change, earOf, mlsGroupId, tlsOf } from '../desk.ts';
import type { Decided, Desk } from '../desk.ts';
import { encodeRoster, restOf, rosterOf } from '../domain/roster.ts';
import type { Roster } from '../domain/roster.ts';
import type { Ear } from '../ear.ts';
import { assertPseudonym, parseDeclaredLeaf, parseQueueConfig } from '../leaves.ts';
import { findTombstone, insertGroup, putRoster, putState } from '../store/groups.ts';
import { findAccepted, insertAccepted } from '../store/log.ts';

export async function createGroup(
  desk: Desk,
  request: CreateGroupRequest,
  key: Uint8Array,
): Promise<CreateGroupResponse> {
  const ear = earOf(desk, request);
  const group = foundingGroup(desk, ear, request, key);
  const roster = foundingRoster(desk, request, group);
  const digest = contentDigest(desk, ear, request);
  return await change(
    desk,
    ear,
    async (tx) => await found(desk, tx, { ear, group, roster, key, digest }),
  );
}

interface Founding {
  readonly ear: Ear;
  readonly group: PublicGroup;
  readonly roster: Roster;
  readonly key: Uint8Array;
  readonly digest: Uint8Array;
}

async function found(
  desk: Desk,
  tx: Executor,
  { ear, group, roster, key, digest }: Founding,
): Promise<Decided<CreateGroupResponse>> {
  const id = ear.groupId.uuid;
  const now = desk.clock.now();
  if (!(await insertGroup(tx, id, monthOf(now)))) {
    const [earlier] = await findAccepted(tx, [{ id, digest }]);
    if (earlier === undefined) throw idReused();
    const { acceptedAtMs } = openAnswer(ear, digest, earlier.sealed, key);
    return { response: { acceptedAtMs } };
  }
  // A deletion that the insert waited for is visible to this statement.
  if ((await findTombstone(tx, id)) !== undefined) throw idReused();

  const acceptedAtMs = BigInt(now);
  const state = encodePublicGroup(group);
  const members = encodeRoster(roster);
  const answer = sealAnswer(ear, digest, { epoch: 0n, acceptedAtMs, sender: key });
  await Promise.all([
    putRoster(tx, id, ear.seal({ kind: 'roster', version: 0n }, members)),
    putState(tx, id, ear.seal({ kind: 'state', epoch: 0n }, state)),
    insertAccepted(tx, [{ id, digest, sealed: answer }], dayOf(now)),
  ]);
  const row = { id, epoch: 0n, rosterVersion: 0n, usedMonth: monthOf(now), hasDead: false };
  const keep = (): void => {
    desk.vault.keepRoster(ear, row, roster, members.length);
    desk.vault.keepState(ear, row, group, state.length);
  };
  return { response: { acceptedAtMs }, keep };
}

function foundingGroup(
  { crypto, clock, hub }: Desk,
  { groupId }: Ear,
  request: CreateGroupRequest,
  key: Uint8Array,
): PublicGroup {
  const groupInfo = tlsOf(request.groupInfo, 'group_info');
  const tree = tlsOf(request.ratchetTree, 'ratchet_tree');
  const group = createPublicGroup(crypto, groupInfo, tree, clock.now());
  if (!equal(group.context.groupId, mlsGroupId(groupId))) {
    throw malformed('group_info', 'is of another group than group_id');
  }
  if (!hasOnlySender(group.context.extensions, hub.externalSender)) {
    throw malformed('group_info', 'does not name this hub as the only external sender');
  }
  const [creator] = membersOf(group);
  const leaf = creator === undefined ? undefined : leafOf(group, creator);
  if (group.context.epoch !== 0n || leaf === undefined || membersOf(group).length !== 1) {
    throw malformed('group_info', 'is not of epoch 0 with its creator as the only member');
  }
  if (!equal(leaf.signaturePublicKey, key)) {
    throw new Failure('UNAUTHENTICATED', "the request is not signed by the creator's leaf key");
  }
  assertPseudonym(leaf);
  return group;
}

function foundingRoster(
  { config, clock }: Desk,
  request: CreateGroupRequest,
  group: PublicGroup,
): Roster {
  const room = roomOf(group);
  const declared = parseDeclaredLeaf(request.addedLeaf);
  const queue = parseQueueConfig(request.queueConfig, config.domain, 'queue_config');
  const [leafIndex = 0] = membersOf(group);
  const signatureKey = leafOf(group, leafIndex)?.signaturePublicKey ?? NOTHING;
  if (!equal(declared.leafSignatureKey, signatureKey)) {
    throw malformed('added_leaf', 'is of another leaf');
  }
  const { participant, wrappedLinkKey } = declared;
  const isOthers = room.entries.some((entry) => entry.participant !== participant);
  if (roleOf(room, participant) !== 'owner' || isOthers) {
    throw new Failure(
      'NOT_ALLOWED',
      'a room begins with its creator as its owner, and nobody else',
    );
  }
  const creator = {
    leafIndex,
    signatureKey: declared.leafSignatureKey,
    participant,
    role: 'owner' as const,
    wrappedLinkKey,
    queue,
    joinedEpoch: 0n,
    hasCommitted: true,
    isLeaving: false,
    activeMonth: monthOf(clock.now()),
    resyncs: { day: 0, count: 0 },
  };
  return rosterOf([creator], restOf(room, joinSecretHashOf(request, room.kind === 'dm')));
}

function joinSecretHashOf(
  { joinSecretHash }: CreateGroupRequest,
  isConnection: boolean,
): Uint8Array | undefined {
  if (joinSecretHash.length === 0) return undefined;
  if (isConnection && joinSecretHash.length === HASH_BYTES) return joinSecretHash.slice();
  throw malformed('join_secret_hash', 'is 32 bytes, and only in a conversation between two');
}

function contentDigest({ crypto }: Desk, ear: Ear, request: CreateGroupRequest): Uint8Array {
  return ear.digest(
    'create',
    crypto.sha256(tlsOf(request.groupInfo, 'group_info')),
    crypto.sha256(tlsOf(request.ratchetTree, 'ratchet_tree')),
    request.queueConfig,
    request.addedLeaf,
    request.joinSecretHash,
  );
}

const NOTHING = new Uint8Array(0);
const HASH_BYTES = 32;

function idReused(): Failure {
  return new Failure('ID_REUSED', 'group_id: is in use with other content, or was', {
    field: 'group_id',
  });
}
