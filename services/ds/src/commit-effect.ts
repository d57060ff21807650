import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { EXTENSION, extensionOf, typeOf } from '@roost/mls/extensions';
import { roomOf } from '@roost/mls/public-group';
import type { PublicGroup, StagedCommit } from '@roost/mls/public-group';
import type { Desk } from './desk.ts';
import { authorizeCommit, matchDeclared } from './domain/commit.ts';
import type { AddedMember, CommitEffect } from './domain/commit.ts';
import type { Member, Roster } from './domain/roster.ts';
import {
  assertPseudonym,
  assertSameLeaf,
  parseDeclaredLeaves,
  parseQueueConfig,
} from './leaves.ts';

/**
 * Holds a commit that MLS has no objection to against the rules of rooms (design §6), and says what
 * it does to the roster.
 */
export function judgeCommit(
  desk: Desk,
  group: PublicGroup,
  { roster, committer }: { readonly roster: Roster; readonly committer: Member },
  staged: StagedCommit,
): CommitEffect {
  assertPlainProposals(staged);
  assertCarriesPending(group, staged);
  assertSameExtensions(group, staged.next);
  for (const leafIndex of staged.updated) assertSameLeaf(group, staged.next, leafIndex);

  const left = new Set<number>();
  const removed = new Set<number>();
  for (const { proposal, ref } of staged.proposals) {
    if (!('remove' in proposal)) continue;
    (ref === undefined ? removed : left).add(proposal.remove.removed);
  }
  const effect = {
    committer,
    added: addedMembers(desk, staged),
    removed,
    left,
    roomBefore: roomOf(group),
    roomAfter: roomOf(staged.next),
  };
  authorizeCommit(roster, effect);
  const size = roster.members.length + effect.added.length - removed.size - left.size;
  const { membersMax } = desk.config.limits;
  if (effect.added.length > 0 && size > membersMax) {
    throw new Failure('LIMIT_REACHED', `a group has at most ${membersMax} clients`);
  }
  return effect;
}

/** Whatever a commit or a GroupInfo says beside the room, it says since the group was founded. */
export function assertSameExtensions(before: PublicGroup, after: PublicGroup): void {
  const [old, renewed] = [before.context.extensions, after.context.extensions];
  const isSame =
    old.length === renewed.length &&
    old.every((extension) => {
      const type = typeOf(extension);
      const contents = extensionOf(renewed, type);
      if (contents === undefined) return false;
      return type === EXTENSION.roomState || equal(contents, extension.extensionData);
    });
  if (isSame) return;
  throw new Failure('NOT_ALLOWED', 'of the group context, only the room state is changed');
}

function assertPlainProposals({ proposals }: StagedCommit): void {
  const strange = proposals.find(({ proposal }) => !PLAIN.has(String(proposal.proposalType)));
  if (strange === undefined) return;
  throw new Failure('NOT_ALLOWED', 'commits add, remove, renew keys and change the room, no more');
}

const PLAIN = new Set(['add', 'remove', 'group_context_extensions']);

/** Who wants to go, goes: with the next commit, whoever makes it. */
function assertCarriesPending(group: PublicGroup, { proposals }: StagedCommit): void {
  for (const pending of group.proposals.values()) {
    const isCarried = proposals.some(({ ref }) => ref !== undefined && equal(ref, pending.ref));
    if (isCarried) continue;
    throw new Failure(
      'INVALID_PROPOSAL',
      'a member wants to leave, and the commit does not carry its proposal',
    );
  }
}

function addedMembers({ config }: Desk, { added, authenticatedData }: StagedCommit): AddedMember[] {
  const declared = parseDeclaredLeaves(authenticatedData);
  const keys = added.map(({ leaf }) => leaf.signaturePublicKey);
  matchDeclared(keys, declared);
  return added.map(({ leafIndex, leaf, keyPackage }, at) => {
    assertPseudonym(leaf);
    const contents = extensionOf(keyPackage.extensions, EXTENSION.queueConfig);
    if (contents === undefined) {
      throw new Failure('INVALID_MLS', 'a KeyPackage does not say where its owner is reached');
    }
    const queue = parseQueueConfig(contents, config.domain, 'commit');
    const { leafSignatureKey, participant, wrappedLinkKey } = declared[at] ?? missing();
    return { leafIndex, signatureKey: leafSignatureKey, participant, wrappedLinkKey, queue };
  });
}

function missing(): never {
  throw new Failure('MALFORMED', 'authenticated_data: a leaf is not declared');
}
