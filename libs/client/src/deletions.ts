import { concat, equal, fromHex, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { roleCan, roleOf } from '@roost/mls/room';
import { encodeContent, MESSAGE_ID_BYTES } from './content.ts';
import { accountOf, type Core, ownClient } from './core.ts';
import { addDeletion, type Line } from './history.ts';
import type { Turn } from './ledger.ts';
import type { ClientState } from './mls.ts';
import { participantOf } from './plan.ts';
import { type Group, type Member, seenIds, states } from './state.ts';
import { roomOf } from './titles.ts';

interface Deleting {
  readonly group: Group;
  readonly state: ClientState;
  readonly line: Line;
}

/** Deletes a line here, and asks all others in the room to do the same. */
export function deleteLine(
  core: Core,
  turn: Turn,
  { group, state, line }: Deleting,
): { readonly done: Promise<void> } {
  const target = fromHex(line.id ?? '');
  if (line.id === undefined || target?.length !== MESSAGE_ID_BYTES) {
    throw new Failure('NOT_ALLOWED', 'that line cannot be deleted');
  }
  const own = participantOf(core, group, ownClient(core).user);
  const isOfOthers = mayDeleteOthers(state, own);
  if (!line.isOwn && !isOfOthers) {
    throw new Failure(
      'NOT_ALLOWED',
      'your role in this room does not let you delete what others wrote',
    );
  }
  const lane = printId(group.id);
  addDeletion(turn, lane, line.id, { by: accountOf(core).userName, isOfOthers });
  const messageId = core.crypto.random(MESSAGE_ID_BYTES);
  const content = encodeContent({ kind: 'delete', messageId, target });
  return core.lanes.submit(turn, lane, { kind: 'send', content });
}

/** Somebody in the room wants a line gone: it goes where that one wrote it, or may by its role. */
export function receiveDeletion(
  core: Core,
  turn: Turn,
  group: Group,
  { by, target }: { readonly by: Member; readonly target: Uint8Array },
): void {
  const lane = printId(group.id);
  const state = turn.get(states, lane);
  if (state === undefined || by.identity === undefined) return;
  const isOfOthers = mayDeleteOthers(state, by.participant);
  const { userName } = by.identity;
  const id = toHex(target);
  // Whether it is its author's shows when the line is read.
  addDeletion(turn, lane, id, { by: userName, isOfOthers });
  if (!isOfOthers && !wrote(turn, lane, by, target)) return;
  core.news.put(turn, { kind: 'deleted', chat: lane, id, by: userName });
}

function mayDeleteOthers(state: ClientState, participant: string): boolean {
  const room = roomOf(state);
  return roleCan(room, roleOf(room, participant), 'canDeleteOtherMessage');
}

/** Whether one of the last messages was of this id and by this member. */
function wrote(turn: Turn, lane: string, by: Member, id: Uint8Array): boolean {
  const wanted = concat(by.signatureKey.subarray(0, 4), id);
  const { ids } = turn.get(seenIds, lane) ?? { ids: new Uint8Array(0) };
  for (let at = 0; at < ids.length; at += wanted.length) {
    if (equal(ids.subarray(at, at + wanted.length), wanted)) return true;
  }
  return false;
}
