import { printId } from '@roost/core/ids';
import type { Content } from './content.ts';
import { encodeContent, MESSAGE_ID_BYTES } from './content.ts';
import { accountOf, changeAccount, type Core } from './core.ts';
import type { Turn } from './ledger.ts';
import type { Outcome } from './lanes.ts';
import { qsUserSigner } from './signers.ts';
import {
  type Contact,
  contacts,
  type Group,
  groups,
  type Member,
  type MemberIdentity,
} from './state.ts';
import type { Task } from './task.ts';
import { utf8 } from '@roost/core/bytes';

/** The fewest hashes that the QS sees; it learns the number of contacts by powers of two alone. */
const TOKEN_HASHES_MIN = 16;

/** Somebody entered a group of two: who was asked, and nobody else. */
export function peerArrived(core: Core, turn: Turn, group: Group, member: Member): void {
  const { identity } = member;
  const lane = printId(group.id);
  const contact = identity === undefined ? undefined : turn.get(contacts, printId(identity.user));
  if (identity === undefined || contact === undefined || printId(contact.group) !== lane) {
    const members = group.members.map((each) =>
      each === member ? { ...each, identity: undefined } : each,
    );
    turn.put(groups, lane, { ...group, members });
    core.news.put(turn, { kind: 'forged', chat: lane });
    return;
  }
  connected(core, turn, contact, identity);
}

/** Both are in the group: they can talk, and become able to add each other to groups. */
export function connected(
  core: Core,
  turn: Turn,
  contact: Contact,
  { userName, clientKey, recoveryKeyHash }: MemberIdentity,
): void {
  if (contact.standing === 'connected') return;
  const isBlocked = contact.isBlocked === true;
  const chat = printId(contact.group);
  turn.put(contacts, printId(contact.user), {
    ...contact,
    standing: 'connected',
    userName,
    clientKey,
    recoveryKeyHash,
    ...(isBlocked ? {} : { ownToken: contact.ownToken ?? core.crypto.random(32) }),
    request: undefined,
  });
  // Who was blocked since it was asked hears and tells nothing.
  if (isBlocked) return;
  core.news.put(turn, { kind: 'connected', name: userName, chat });
  core.lanes.submit(turn, chat, { kind: 'befriend', user: contact.user });
}

/** The other one told its friendship token and key. */
export function befriended(
  core: Core,
  turn: Turn,
  { user }: MemberIdentity,
  { token, key }: Content & { kind: 'friendship' },
): void {
  const contact = turn.get(contacts, printId(user));
  if (contact === undefined) return;
  turn.put(contacts, printId(user), { ...contact, token, friendshipKey: key });
  turn.after(() => core.lanes.start());
}

/** Opens our KeyPackages to a contact at the QS, and then tells the contact how. */
export async function performBefriend(
  core: Core,
  lane: string,
  key: string,
  { user }: Task & { kind: 'befriend' },
): Promise<Outcome> {
  await publishTokens(core);
  await core.ledger.turn((turn) => {
    const token = turn.get(contacts, printId(user))?.ownToken;
    core.lanes.finish(turn, key);
    if (token === undefined) return;
    const messageId = core.crypto.random(MESSAGE_ID_BYTES);
    const friendship = accountOf(core).friendshipKey;
    const content = encodeContent({ kind: 'friendship', messageId, token, key: friendship });
    core.lanes.submit(turn, lane, { kind: 'send', content });
  });
  return 'on';
}

const publishing = new WeakMap<Core, Promise<void>>();

/** Tells the QS the hashes of all tokens that are out; one change at a time. */
export async function publishTokens(core: Core): Promise<void> {
  const before = publishing.get(core) ?? Promise.resolve();
  const run = before.catch(() => undefined).then(() => publishOnce(core));
  publishing.set(core, run);
  return run;
}

async function publishOnce(core: Core): Promise<void> {
  const { crypto, ledger, caller } = core;
  const version = accountOf(core).friendshipVersion + 1n;
  await ledger.turn((turn) => changeAccount(turn, { friendshipVersion: version }));
  const { friendshipKey } = accountOf(core);
  const tokens = ledger.list(contacts).flatMap(([, { ownToken }]) => ownToken ?? []);
  let size = TOKEN_HASHES_MIN;
  while (size < tokens.length) size *= 2;
  // The dummies stay the same, so that a change shows no more than itself.
  const dummies = Array.from({ length: size - tokens.length }, (_, at) =>
    crypto.hmacSha256(friendshipKey, utf8(`dummy ${at}`)),
  );
  const tokenHashes = [...tokens, ...dummies].map((token) => crypto.sha256(token));
  const price = { token: 'general' as const, sign: qsUserSigner(core) };
  await caller.ask(price, (options) =>
    caller.services.queue.setFriendshipTokens({ tokenHashes, version }, options),
  );
}
