import { parseParticipantId } from '@roost/mls/room';
import { type Core, ownClient } from './core.ts';
import { isRefused, judge, resolved } from './judge.ts';
import type { ClientState, Proposal } from './mls.ts';
import { participantOf, type Plan } from './plan.ts';
import { roomProposals } from './room-after.ts';
import type { Group } from './state.ts';

type Waiting = [key: string, proposal: ClientState['unappliedProposals'][string]];

/**
 * What a commit of ours is made of: what it is for; what has to go with any commit (whoever wants to
 * leave, whom the hub takes out); and of what else was proposed as much as the room lets us commit.
 * The rest ends with the epoch.
 */
export function settled(
  core: Core,
  group: Group,
  state: ClientState,
  plan: Plan,
): { readonly state: ClientState; readonly proposals: Proposal[] } {
  const own = state.privatePath.leafIndex;
  const waiting = Object.entries(state.unappliedProposals).filter(
    ([, { proposal }]) => !('remove' in proposal && proposal.remove.removed === own),
  );
  const binding = waiting.filter(([, each]) => isBinding(group, each));
  let kept = withParts(group, state, plan, binding);
  for (const each of waiting) {
    if (binding.includes(each) || isRefused(state, each[1])) continue;
    const more = withParts(group, state, plan, [...kept.waiting, each]);
    if (isAllowed(core, group, more, plan)) kept = more;
  }
  return kept;
}

interface Parts {
  readonly state: ClientState;
  readonly waiting: readonly Waiting[];
  readonly proposals: Proposal[];
}

function withParts(
  group: Group,
  state: ClientState,
  plan: Plan,
  waiting: readonly Waiting[],
): Parts {
  const narrowed = { ...state, unappliedProposals: Object.fromEntries(waiting) };
  const gone = new Set(
    waiting.flatMap(([, { proposal }]) => ('remove' in proposal ? proposal.remove.removed : [])),
  );
  // Nobody is removed twice.
  const own = plan.proposals.filter((each) => !('remove' in each && gone.has(each.remove.removed)));
  const proposals = [...own, ...roomProposals(group, narrowed, { ...plan, proposals: own })];
  return { state: narrowed, waiting, proposals };
}

function isBinding(group: Group, { proposal, senderLeafIndex }: Waiting[1]): boolean {
  if (!('remove' in proposal)) return false;
  if (senderLeafIndex === undefined) return true;
  const participant = (leafIndex: number) =>
    group.members.find((each) => each.leafIndex === leafIndex)?.participant;
  return participant(senderLeafIndex) === participant(proposal.remove.removed);
}

function isAllowed(core: Core, group: Group, parts: Parts, plan: Plan): boolean {
  const { state, waiting, proposals } = parts;
  const { leafIndex } = state.privatePath;
  try {
    judge(group, state, {
      committer: participantOf(core, group, ownClient(core).user),
      isExternal: false,
      proposals: [
        ...waiting.map(([key, each]) => resolved(key, each)),
        ...proposals.map((proposal) => ({
          proposal,
          actor: { kind: 'member' as const, leafIndex },
          ref: undefined,
        })),
      ],
      added: plan.declared.map(({ participantId }) => parseParticipantId(participantId)),
    });
    return true;
  } catch {
    return false;
  }
}
