import { equal } from '@roost/core/bytes';
import { encodeRoomState, type RoomState, withoutParticipants } from '@roost/mls/room';
import type { ClientState, Proposal } from './mls.ts';
import type { Group } from './state.ts';
import { proposedRemovals } from './tidy.ts';
import { roomOf, withRoom } from './titles.ts';

/** The room state after a commit, if it is another: whoever goes with it leaves no role behind. */
export function roomProposals(
  group: Group,
  state: ClientState,
  plan: { readonly proposals: readonly Proposal[]; readonly room?: RoomState },
): Proposal[] {
  const removed = new Set(proposedRemovals(state));
  for (const each of plan.proposals) if ('remove' in each) removed.add(each.remove.removed);
  const staying = new Set(
    group.members.flatMap(({ leafIndex, participant }) =>
      removed.has(leafIndex) ? [] : [participant],
    ),
  );
  const participants = new Set(group.members.map(({ participant }) => participant));
  const gone = [...participants].filter((each) => !staying.has(each));
  const before = roomOf(state);
  const after = withoutParticipants(plan.room ?? before, gone);
  if (equal(encodeRoomState(before), encodeRoomState(after))) return [];
  const extensions = withRoom(state.groupContext.extensions, after);
  return [{ proposalType: 'group_context_extensions', groupContextExtensions: { extensions } }];
}
