import type { Chat, ChatMember, ClientEvent, Line, Unfinished } from '@roost/client/client';

/** What the view must know of its surroundings. */
export interface Scene {
  /** Whose names are printed short. */
  readonly domain: string;
  /** The label of a chat by its id. */
  readonly label: (chat: string) => string;
  /** `name@domain` of whoever runs this. */
  readonly self: string;
}

/** The name as people know it: without the domain where it is the own one. */
export function shortName(name: string, domain: string): string {
  return name.endsWith(`@${domain}`) ? name.slice(0, -(domain.length + 1)) : name;
}

/**
 * Text on one line that cannot steer the terminal: control characters, line separators and marks
 * that turn the direction of writing are shown as escapes.
 */
export function escaped(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const named = NAMED.get(char);
    if (named !== undefined) return named;
    const code = char.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

// oxlint-disable-next-line no-control-regex -- to find them is what it is for
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const NAMED = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}

export function messageLine(chat: string, name: string, text: string): string {
  return `[${escaped(chat)}] ${escaped(name)}: ${escaped(text)}`;
}

/** Everything that is not a message. */
export function notice(sentence: string): string {
  return `* ${escaped(sentence)}`;
}

export function historyLine(
  chat: string,
  { sender, text, isDeleted }: Line,
  { domain }: Scene,
): string {
  return messageLine(chat, shortName(sender, domain), isDeleted === true ? '(deleted)' : text);
}

/** One line for an event. */
export function eventLine(event: ClientEvent, scene: Scene): string {
  const who = (name: string): string => shortName(name, scene.domain);
  if (event.kind === 'message') {
    return messageLine(scene.label(event.chat), who(event.sender), event.text);
  }
  return notice(sentenceOf(event, scene, who));
}

type Noted = Exclude<ClientEvent, { kind: 'message' }>;

function sentenceOf(event: Noted, scene: Scene, who: (name: string) => string): string {
  const by = (name: string): string => (name === scene.self ? 'you' : who(name) || 'somebody');
  switch (event.kind) {
    case 'request':
      return `${who(event.name)} asks to connect: /accept ${who(event.name)} or /reject ${who(event.name)}`;
    case 'connected':
      return `you are connected with ${who(event.name)}`;
    case 'rejected':
      return `${who(event.name)} rejected your request`;
    case 'joined':
      return `${who(event.by)} added you to ${event.title || scene.label(event.chat)}`;
    case 'added':
      return `${by(event.by)} added ${who(event.name)} to ${scene.label(event.chat)}`;
    case 'removed':
      return `${by(event.by)} removed ${who(event.name)} from ${scene.label(event.chat)}`;
    case 'banned':
      return `${by(event.by)} banned ${who(event.name)} from ${scene.label(event.chat)}`;
    case 'entered':
      return `${who(event.name)} joined ${scene.label(event.chat)}`;
    case 'role':
      return `${by(event.by)} made ${event.name === scene.self ? 'you' : who(event.name)} ${ROLES[event.role]} of ${scene.label(event.chat)}`;
    case 'policy':
      return `${by(event.by)} changed what roles may do in ${scene.label(event.chat)}`;
    case 'policy-refused':
      return `the homeserver proposed rules for ${scene.label(event.chat)} that are not taken`;
    case 'at-odds':
      return `the homeserver let a change of ${scene.label(event.chat)} pass that its rules forbid (${event.sentence}); nothing is sent there, /leave it`;
    case 'surfaced':
      return `${who(event.by)} began a conversation of the same people as ${scene.label(event.chat)}, which goes on`;
    case 'deleted':
      return `${by(event.by)} deleted a line of ${scene.label(event.chat)}`;
    case 'left':
      return `${who(event.name)} left ${scene.label(event.chat)}`;
    case 'gone':
      return event.by === undefined
        ? `you are no longer in ${event.title}`
        : `${who(event.by)} removed you from ${event.title}`;
    case 'title':
      return `${by(event.by)} renamed the group to ${event.title}`;
    case 'returned':
      return `you were away too long or a change did not fit: some messages in ${scene.label(event.chat)} are lost to you`;
    case 'forged':
      return `somebody in ${scene.label(event.chat)} is not who they say; nothing is sent until they are removed`;
    case 'unjudged':
      return `your homeserver does not speak with ${event.domain}: what you write in ${scene.label(event.chat)} waits until it does, or until its people have left; /remove @${event.domain} removes them`;
    case 'group-refused':
      return event.sentence;
    case 'lost':
      return `your queue was full: ${event.count} or more messages were lost`;
    case 'failed':
      return event.text === undefined
        ? `refused: ${event.sentence}`
        : `not sent to ${scene.label(event.chat ?? '')}: ${event.text} (${event.sentence})`;
    case 'away':
      return 'the homeserver does not answer; what you write is kept and sent when it does';
    case 'back':
      return 'the homeserver answers again';
    case 'peer-away':
      return `${event.domain} does not answer; what is for it is kept and goes on by itself`;
    case 'peer-back':
      return `${event.domain} answers again`;
  }
}

type RoleEvent = ClientEvent & { kind: 'role' };

const ROLES: Readonly<Record<RoleEvent['role'], string>> = {
  none: 'nobody',
  banned: 'banned',
  ordinary: 'an ordinary member',
  moderator: 'a moderator',
  admin: 'an admin',
  policy_enforcer: 'the homeserver',
  visitor: 'a visitor',
  owner: 'an owner',
  departed: 'departed',
};

export function membersLine(
  chat: string,
  members: readonly ChatMember[],
  { domain }: Scene,
): string {
  const names = members
    .map(({ name, unjudged, role, isSelf }) => {
      const marks = [...(isSelf ? ['you'] : []), ...(role === 'ordinary' ? [] : [role])];
      const nobody = unjudged === undefined ? 'who is not who they say' : `of ${unjudged}`;
      const shown = name === '' ? `somebody ${nobody}` : shortName(name, domain);
      return marks.length === 0 ? shown : `${shown} (${marks.join(', ')})`;
    })
    .toSorted();
  return notice(`in ${chat}: ${names.join(', ')}`);
}

export function chatLine(label: string, chat: Chat, isCurrent: boolean): string {
  const { notifications, isSilenced, isBlocked } = chat;
  const marks = [
    ...(isCurrent ? ['current'] : []),
    ...(chat.isOpen || isBlocked ? [] : ['not accepted yet']),
    ...(isBlocked ? ['blocked'] : isSilenced ? ['silenced'] : []),
    ...(notifications.kind === 'silent' ? ['muted'] : []),
    ...(notifications.kind === 'muted' ? [`muted until ${minuteOf(notifications.untilMs)}`] : []),
  ];
  return notice(marks.length === 0 ? `[${label}]` : `[${label}] (${marks.join(', ')})`);
}

/** A time to the minute, as the clock on the wall has it. */
export function minuteOf(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  const at = new Date(minutes * 60_000 - new Date(ms).getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 16).replace('T', ' ');
}

/** What is left undone at the end. */
export function unfinishedLine({ kind, text, chat }: Unfinished, scene: Scene): string {
  const label = scene.label(chat);
  if (text !== undefined) return notice(`not sent yet to ${label}: ${text}`);
  const what = UNFINISHED[kind] ?? 'something';
  return notice(
    `not done yet: ${what}${label === '' ? '' : ` (${label})`}; it goes on at the next start`,
  );
}

const UNFINISHED: Partial<Record<Unfinished['kind'], string>> = {
  connect: 'a request to connect',
  accept: 'an accepted request',
  reject: 'a rejected request',
  befriend: 'a new connection',
  send: 'a new connection',
  create: 'a new group',
  enter: 'entering a public room',
  publish: 'listing a public room',
  commit: 'a change of a group',
  leave: 'leaving a group',
  join: 'entering a group',
  notify: 'the notifications of a chat',
  silence: 'silencing a chat, or not any more',
};

/** Chats by the label that people see: titles that are there twice are numbered. */
export function labelsOf(chats: readonly Chat[], domain: string): Map<string, string> {
  const labels = new Map<string, string>();
  const taken = new Map<string, number>();
  for (const { id, kind, name } of chats) {
    const plain = kind === 'dm' ? shortName(name, domain) : name;
    const count = (taken.get(plain) ?? 0) + 1;
    taken.set(plain, count);
    labels.set(id, count === 1 ? plain : `${plain} (${count})`);
  }
  return labels;
}
