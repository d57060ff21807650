import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { type Clock, MINUTE_MS } from '@roost/core/time';
import type { Core } from './core.ts';
import type { Turn } from './ledger.ts';
import { type Contact, contacts, groups } from './state.ts';

/** Of which messages of a chat a push tells; everything is delivered all the same. */
export type Notifications =
  | { readonly kind: 'all' | 'silent' }
  /** Silent until then, by itself all from then on. */
  | { readonly kind: 'muted'; readonly untilMs: number };

/** What is set for chats and people is carried out in a lane of its own: no chat's lane delays it. */
export const SETTINGS_LANE = 'settings';

const ALL: Notifications = { kind: 'all' };

/** What holds now: a time that is over has ended by itself. */
export function notificationsNow(core: { readonly clock: Clock }, set = ALL): Notifications {
  return set.kind === 'muted' && set.untilMs <= core.clock.now() ? ALL : set;
}

type Done = { readonly done: Promise<void> };

export function setNotifications(
  core: Core,
  turn: Turn,
  chat: string,
  wanted: Notifications,
): Done {
  const group = activeGroup(turn, chat);
  const notifications = onTheMinute(core, wanted);
  turn.put(groups, chat, { ...group, notifications });
  return core.lanes.submit(turn, SETTINGS_LANE, { kind: 'notify', chat });
}

/** Nothing of a silenced chat is delivered, and nobody can tell; what was missed is not fetched later. */
export function setSilenced(core: Core, turn: Turn, chat: string, isSilenced: boolean): Done {
  const group = activeGroup(turn, chat);
  turn.put(groups, chat, { ...group, isSilenced });
  return core.lanes.submit(turn, SETTINGS_LANE, { kind: 'silence', chat });
}

/**
 * Whom we block reaches us by nothing: their conversation is silenced, the token goes that opens our
 * KeyPackages to them, and what they say in groups or ask is passed over. Nobody is told.
 */
export function block(core: Core, turn: Turn, contact: Contact): Done {
  if (contact.isBlocked === true) {
    throw new Failure('ALREADY_EXISTS', `${contact.userName} is blocked already`);
  }
  if (contact.standing === 'accepting') {
    throw new Failure('UNAVAILABLE', `you are being connected with ${contact.userName}; try later`);
  }
  const isAsking = contact.standing === 'asking';
  turn.put(contacts, printId(contact.user), {
    ...contact,
    ...(isAsking ? { standing: 'rejected' as const, request: undefined } : {}),
    isBlocked: true,
    ownToken: undefined,
  });
  silenceConversation(core, turn, contact, true);
  return core.lanes.submit(turn, SETTINGS_LANE, { kind: 'tokens' });
}

/** Takes all of that back; whoever asked meanwhile has to ask again. */
export function unblock(core: Core, turn: Turn, contact: Contact): Done {
  if (contact.isBlocked !== true) {
    throw new Failure('USER_UNKNOWN', `${contact.userName} is not blocked`);
  }
  const isConnected = contact.standing === 'connected';
  turn.put(contacts, printId(contact.user), {
    ...contact,
    isBlocked: false,
    ...(isConnected ? { ownToken: core.crypto.random(32) } : {}),
  });
  // One that was deleted stays silent.
  if (contact.forgotten === undefined) silenceConversation(core, turn, contact, false);
  const { user } = contact;
  if (isConnected) core.lanes.submit(turn, printId(contact.group), { kind: 'befriend', user });
  return core.lanes.submit(turn, SETTINGS_LANE, { kind: 'tokens' });
}

function silenceConversation(
  core: Core,
  turn: Turn,
  { group }: Contact,
  isSilenced: boolean,
): void {
  const chat = printId(group);
  if (turn.get(groups, chat)?.standing === 'active') setSilenced(core, turn, chat, isSilenced);
}

function activeGroup(turn: Turn, chat: string) {
  const group = turn.get(groups, chat);
  if (group?.standing === 'active') return group;
  throw new Failure('GROUP_UNKNOWN', 'you are not in this chat');
}

/** The QS keeps no exact times. */
function onTheMinute({ clock }: Core, wanted: Notifications): Notifications {
  if (wanted.kind !== 'muted') return wanted;
  const untilMs = Math.ceil(wanted.untilMs / MINUTE_MS) * MINUTE_MS;
  if (Number.isSafeInteger(untilMs) && untilMs > clock.now()) return { kind: 'muted', untilMs };
  throw new Failure('MALFORMED', 'the time to mute until is over');
}
