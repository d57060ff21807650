import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { type GroupId, printId } from '@roost/core/ids';
import { decodeContent, encodeContent, MESSAGE_ID_BYTES } from './content.ts';
import { accountOf, type Core, ownClient } from './core.ts';
import { draftGroup } from './groups.ts';
import { addLine } from './history.ts';
import type { Ledger, Turn } from './ledger.ts';
import { end } from './standing.ts';
import { type Contact, contacts, type Group, groups } from './state.ts';
import { tasks } from './task.ts';

/**
 * Two have one conversation (requirements, CHAT-2). Where both founded one for the same two, the one
 * whose founder's id, and then whose own, is smaller survives. Both sides see the same, so that no
 * more than one is left.
 */
export function isOursSmaller(core: Core, own: Contact, theirs: Contact): boolean {
  const ours = `${printId(ownClient(core).user)} ${printId(own.group)}`;
  return ours < `${printId(theirs.user)} ${printId(theirs.group)}`;
}

/**
 * Our conversation is not the one that stays: it is deleted, and what was written into it, which
 * nobody could read yet, goes to the other.
 */
export function giveWay(core: Core, turn: Turn, ours: Contact, theirs: Contact): void {
  const [from, to] = [printId(ours.group), printId(theirs.group)];
  turn.put(contacts, printId(theirs.user), {
    ...theirs,
    standing: 'accepting',
    ownToken: ours.ownToken,
  });
  draftEntry(core, turn, theirs);
  core.lanes.submit(turn, to, { kind: 'accept', user: theirs.user });
  moveUnsent(core, turn, from, to);
  const group = turn.get(groups, from);
  if (group !== undefined) turn.put(groups, from, { ...group, movedTo: theirs.group });
  core.lanes.submit(turn, from, { kind: 'delete' });
}

/** What was written and is not sent goes to another chat. */
export function moveUnsent(core: Core, turn: Turn, from: string, to: string): void {
  const { userName: sender } = accountOf(core);
  for (const [key, task] of turn.list(tasks, `${from}/`)) {
    if (task.kind !== 'send') continue;
    core.lanes.move(turn, key, to);
    const { text, content } = task;
    if (text === undefined) continue;
    const id = toHex(decodeContent(content).messageId);
    addLine(turn, to, { id, sender, text, atMs: core.clock.now(), isOwn: true });
  }
}

/** The group of a request, written down before we enter it: lines for it are kept from now on. */
export function draftEntry(core: Core, turn: Turn, { group: id, request }: Contact): void {
  const lane = printId(id);
  const before = turn.get(groups, lane);
  if (before?.standing === 'creating' || request === undefined) return;
  draftGroup(core, turn, { id, kind: 'dm', title: '', keys: request.keys });
}

/** The chat that took the place of another one, or the same. */
export function chatNow(on: Ledger | Turn, chat: string): string {
  const movedTo = on.get(groups, chat)?.movedTo;
  return movedTo === undefined ? chat : chatNow(on, printId(movedTo));
}

/**
 * The conversation with somebody whom we blocked is deleted: here at once, and nobody can tell. The
 * other one hears of it when we ask for a new one.
 */
export function forget(turn: Turn, contact: Contact): void {
  if (contact.isBlocked !== true) {
    throw new Failure('NOT_ALLOWED', `block ${contact.userName} first`);
  }
  const group = turn.get(groups, printId(contact.group));
  if (group !== undefined) turn.put(groups, printId(group.id), { ...group, isForgotten: true });
  turn.put(contacts, printId(contact.user), {
    ...contact,
    standing: 'rejected',
    token: undefined,
    friendshipKey: undefined,
    request: undefined,
    ...(group?.standing === 'active' ? { forgotten: contact.group } : {}),
  });
}

/** The other one asks for a new conversation before we did. */
export function endForgotten(core: Core, turn: Turn, forgotten: GroupId): void {
  const group = turn.get(groups, printId(forgotten));
  if (group !== undefined) end(core, turn, { ...group, isLeaving: true }, undefined);
}

/** Who asks anew says in the conversation that it had deleted that there is to be another one. */
export function sayFarewell(core: Core, turn: Turn, { forgotten }: Contact): void {
  if (forgotten === undefined) return;
  const lane = printId(forgotten);
  const messageId = core.crypto.random(MESSAGE_ID_BYTES);
  const content = encodeContent({ kind: 'farewell', messageId });
  core.lanes.submit(turn, lane, { kind: 'send', content });
  core.lanes.submit(turn, lane, { kind: 'delete' });
}

/** The other one has deleted the conversation; what it asks for from now on is a new one. */
export function heardFarewell(core: Core, turn: Turn, group: Group, contact: Contact): void {
  if (printId(contact.group) !== printId(group.id) || contact.standing !== 'connected') return;
  const { renewal, ...kept } = contact;
  end(core, turn, { ...group, isLeaving: true }, undefined);
  if (renewal === undefined) {
    turn.put(contacts, printId(contact.user), { ...kept, standing: 'rejected' });
    return;
  }
  turn.put(contacts, printId(contact.user), { ...renewal, ownToken: contact.ownToken });
  core.news.put(turn, { kind: 'request', name: renewal.userName });
}
