import { assert } from '@roost/core/assert';
import { fromUtf8 } from '@roost/core/bytes';
import type { Author, CommitDeeds, Removal } from './authorize-commit.ts';
import type { Step } from './change.ts';
import type { ResolvedProposal } from './proposals.ts';
import type { ParticipantId, RoomState } from './room.ts';

/** A commit as MLS sees it, and what was declared of its leaves. */
export interface CommitParts {
  /** The MLS group id: the text of a GroupId. */
  readonly groupId: Uint8Array;
  /** Before the commit, by leaf index. */
  readonly members: ReadonlyMap<number, ParticipantId>;
  readonly committer: ParticipantId;
  readonly isExternal: boolean;
  readonly proposals: readonly ResolvedProposal[];
  /** What is declared of the leaves, in the order of the Adds. */
  readonly added: readonly ParticipantId[];
  readonly roomBefore: RoomState;
  readonly roomAfter: RoomState;
}

/** What a commit does, as `authorizeCommit` wants it told. */
export function deedsOf(parts: CommitParts): CommitDeeds {
  const { groupId, members, committer, isExternal, proposals, roomBefore, roomAfter } = parts;
  const added: { participant: ParticipantId; by: Author }[] = [];
  const removed: Removal[] = [];
  const others: { step: Step; by: Author }[] = [];
  let roomBy: Author | undefined;
  for (const each of proposals) {
    const by = authorOf(each, { members, committer, isExternal });
    const { proposal } = each;
    if ('add' in proposal) {
      const participant = parts.added[added.length];
      assert(participant !== undefined, 'every leaf that is added is declared');
      added.push({ participant, by });
    } else if ('remove' in proposal) {
      removed.push({ leafIndex: proposal.remove.removed, by });
    } else if ('groupContextExtensions' in proposal) {
      roomBy = by;
    } else if (!('externalInit' in proposal)) {
      others.push({ step: otherStep(groupId, proposal), by });
    }
  }
  return { members, committer, isExternal, added, removed, roomBefore, roomAfter, roomBy, others };
}

/** Who wants a proposal, and how it came. */
function authorOf(
  { actor, ref }: Pick<ResolvedProposal, 'actor' | 'ref'>,
  { members, committer, isExternal }: Pick<CommitParts, 'members' | 'committer' | 'isExternal'>,
): Author {
  if (ref === undefined) return { who: committer, form: isExternal ? 'external' : 'inline' };
  if (actor.kind === 'external') return { who: 'hub', form: 'external' };
  if (actor.kind === 'newcomer') return { who: NOBODY, form: 'external' };
  const who = members.get(actor.leafIndex);
  assert(who !== undefined, 'members propose');
  return { who, form: 'by-reference' };
}

/** No participant: whoever proposes itself as a member declares nothing of itself. */
const NOBODY = '';

type Proposal = ResolvedProposal['proposal'];

function otherStep(groupId: Uint8Array, proposal: Proposal): Step {
  if ('psk' in proposal) return { kind: 'psk' };
  if ('update' in proposal) return { kind: 'update' };
  if ('reinit' in proposal) {
    const next = hubOf(proposal.reinit.groupId);
    return { kind: 'reinit', isSameHub: next !== undefined && next === hubOf(groupId) };
  }
  return { kind: 'other' };
}

/** The domain in the text of a GroupId. */
function hubOf(groupId: Uint8Array): string | undefined {
  try {
    return /^[0-9a-f-]{36}@(?<domain>[^@]+)$/.exec(fromUtf8(groupId))?.groups?.['domain'];
  } catch {
    return undefined;
  }
}
