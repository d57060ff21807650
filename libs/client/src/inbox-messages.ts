import { concat, equal, toHex } from '@roost/core/bytes';
import { printId } from '@roost/core/ids';
import { befriended } from './friends.ts';
import { type Content, decodeContent, MESSAGE_ID_BYTES } from './content.ts';
import { type Core, ownClient } from './core.ts';
import { heardFarewell } from './crossing.ts';
import { receiveDeletion } from './deletions.ts';
import { goingOn } from './same-people.ts';
import { addLine } from './history.ts';
import type { Turn } from './ledger.ts';
import {
  contacts,
  type Group,
  type Member,
  type MemberIdentity,
  seenIds,
  states,
} from './state.ts';

/** How many ids of messages are kept to know a repetition by; in bytes, the oldest go first. */
const SEEN_BYTES_MAX = 256 * MESSAGE_ID_BYTES;

/** An application message of this epoch or one of the last. One that does not open is passed over. */
export async function receiveMessage(
  core: Core,
  turn: Turn,
  group: Group,
  event: { readonly mlsMessage: Uint8Array; readonly acceptedAtMs: bigint },
): Promise<void> {
  const lane = printId(group.id);
  const state = turn.get(states, lane);
  if (state === undefined) return;
  const opened = await core.mls.decrypt(state, event.mlsMessage).catch(() => undefined);
  if (opened === undefined) return;
  turn.put(states, lane, opened.next);

  const sender = [...group.members, ...(group.former ?? [])].find(({ signatureKey }) =>
    equal(signatureKey, opened.senderKey),
  );
  // What a leaf says that is not who it claims to be is not shown as anybody's.
  if (sender?.identity === undefined) return;
  let content: Content;
  try {
    content = decodeContent(opened.content);
  } catch {
    return;
  }
  if (wasSeen(turn, lane, concat(opened.senderKey.subarray(0, 4), content.messageId))) return;
  const { identity } = sender;
  const { acceptedAtMs } = event;
  take(core, turn, group, { content, member: sender, identity, acceptedAtMs });
}

interface Received {
  readonly content: Content;
  readonly member: Member;
  readonly identity: MemberIdentity;
  readonly acceptedAtMs: bigint;
}

function take(core: Core, turn: Turn, group: Group, received: Received): void {
  const { content, acceptedAtMs } = received;
  const sender = received.identity;
  const lane = printId(group.id);
  if (turn.get(contacts, printId(sender.user))?.isBlocked === true) return;
  switch (content.kind) {
    case 'text': {
      const at = Number(acceptedAtMs);
      const { text } = content;
      const id = toHex(content.messageId);
      addLine(turn, lane, { id, sender: sender.userName, text, atMs: at, isOwn: false });
      core.news.put(turn, {
        kind: 'message',
        chat: lane,
        id,
        sender: sender.userName,
        text,
        acceptedAtMs: at,
      });
      return;
    }
    case 'delete':
      return receiveDeletion(core, turn, group, { by: received.member, target: content.target });
    case 'farewell': {
      if (group.kind === 'group_dm') return goingOn(turn, group);
      const contact = turn.get(contacts, printId(sender.user));
      if (contact !== undefined && group.kind === 'dm') heardFarewell(core, turn, group, contact);
      return;
    }
    case 'friendship': {
      const isOurs = printId(sender.user) === printId(ownClient(core).user);
      if (group.kind === 'dm' && !isOurs) befriended(core, turn, sender, content);
      return;
    }
    case 'unknown':
  }
}

/** Whether a message of this id came before; from now on it did. */
function wasSeen(turn: Turn, lane: string, id: Uint8Array): boolean {
  const { ids } = turn.get(seenIds, lane) ?? { ids: new Uint8Array(0) };
  for (let at = 0; at < ids.length; at += id.length) {
    if (equal(ids.subarray(at, at + id.length), id)) return true;
  }
  const all = concat(ids, id);
  const kept = SEEN_BYTES_MAX - (SEEN_BYTES_MAX % id.length);
  turn.put(seenIds, lane, { ids: all.slice(Math.max(0, all.length - kept)) });
  return false;
}
