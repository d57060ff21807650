import { Failure } from '@roost/core/failure';
import { decodeCommitAad } from '@roost/identity/leaf';
import { authorizeCommit } from '@roost/mls/authorize-commit';
import { deedsOf } from '@roost/mls/deeds';
import { EXTENSION, extensionOf } from '@roost/mls/extensions';
import type { CommitMessage } from '@roost/mls/message';
import type { ResolvedProposal } from '@roost/mls/proposals';
import {
  decodeRoomState,
  type ParticipantId,
  parseParticipantId,
  type RoomState,
} from '@roost/mls/room';
import { conformsTo } from '@roost/mls/templates';
import { base64ToBytes, bytesToBase64 } from 'ts-mls/util/byteArray.js';
import type { ClientState, Proposal } from './mls.ts';
import type { Group } from './state.ts';
import { roomOf } from './titles.ts';

/** A commit as the rules of rooms see it, ours or somebody else's. */
export interface Judged {
  readonly committer: ParticipantId;
  readonly isExternal: boolean;
  readonly proposals: readonly ResolvedProposal[];
  /** Whom the leaves that it adds are declared to be of. */
  readonly added: readonly ParticipantId[];
}

/**
 * Refuses what the policy of a room is against, by the same function as the hub: a hub that lets it
 * pass does not make it so.
 */
export function judge(group: Group, state: ClientState, judged: Judged): void {
  const roomBefore = roomOf(state);
  const spoken = judged.proposals.flatMap(({ proposal }) => roomIn(proposal) ?? []);
  if (spoken.length > 1) throw refused('a commit gives the room two states');
  const adds = judged.proposals.filter(({ proposal }) => 'add' in proposal).length;
  if (!judged.isExternal && adds !== judged.added.length) {
    throw refused('a commit adds somebody without saying whom');
  }
  const members = new Map(group.members.map((each) => [each.leafIndex, each.participant]));
  const { groupId } = state.groupContext;
  const roomAfter = spoken[0] ?? roomBefore;
  authorizeCommit(deedsOf({ ...judged, groupId, members, roomBefore, roomAfter }));
}

/** Refuses a commit of somebody else that the room's policy is against. */
export function judgeCommit(group: Group, state: ClientState, message: CommitMessage): void {
  const { sender, commit } = message;
  const added = decodeCommitAad(message.authenticatedData).added.map(({ participantId }) =>
    parseParticipantId(participantId),
  );
  const isExternal = sender.senderType === 'new_member_commit';
  const leafIndex = sender.senderType === 'member' ? sender.leafIndex : 0;
  const committer = isExternal
    ? added[0]
    : group.members.find((each) => each.leafIndex === leafIndex)?.participant;
  if (committer === undefined) throw refused('nobody of the group made a commit');
  const kind = isExternal ? ('joiner' as const) : ('member' as const);
  const proposals = commit.proposals.map((each): ResolvedProposal => {
    if (each.proposalOrRefType === 'proposal') {
      return { proposal: each.proposal, actor: { kind, leafIndex }, ref: undefined };
    }
    const key = bytesToBase64(each.reference);
    const found = state.unappliedProposals[key];
    if (found === undefined) throw refused('a commit names a proposal that nobody made');
    return resolved(key, found);
  });
  judge(group, state, { committer, isExternal, proposals, added });
}

type Waiting = ClientState['unappliedProposals'][string];

/** A proposal that waits, with whoever made it. */
export function resolved(key: string, { proposal, senderLeafIndex }: Waiting): ResolvedProposal {
  const ref = base64ToBytes(key);
  return senderLeafIndex === undefined
    ? { proposal, actor: { kind: 'external', senderIndex: 0 }, ref }
    : { proposal, actor: { kind: 'member', leafIndex: senderLeafIndex }, ref };
}

/** The room state that a proposal brings. */
export function roomIn(proposal: Proposal): RoomState | undefined {
  if (!('groupContextExtensions' in proposal)) return undefined;
  const { extensions } = proposal.groupContextExtensions;
  const tls = extensionOf(extensions, EXTENSION.roomState);
  if (tls === undefined) throw refused('a room loses its state');
  return decodeRoomState(tls);
}

/**
 * Whether a proposal is one that we never commit: a policy of the hub that is within no template for
 * rooms of that kind (MLSACP-2). It ends with the epoch.
 */
export function isRefused(state: ClientState, { proposal, senderLeafIndex }: Waiting): boolean {
  if (senderLeafIndex !== undefined || !('groupContextExtensions' in proposal)) return false;
  try {
    const roles = roomIn(proposal)?.roles ?? [];
    return conformsTo(roles, roomOf(state).kind).length === 0;
  } catch {
    return true;
  }
}

function refused(sentence: string): Failure {
  return new Failure('NOT_ALLOWED', sentence);
}
