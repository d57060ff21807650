import type { GroupPolicy, MemberRole } from '@roost/client/client';

/** One line of input, understood. */
export type Line =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: NamedKind; readonly name: string }
  | { readonly kind: MemberKind; readonly name: string }
  /** Without a name the oldest request is meant. */
  | { readonly kind: 'accept' | 'reject'; readonly name: string | undefined }
  | {
      readonly kind: 'group';
      readonly title: string;
      readonly names: readonly string[];
      readonly policy: GroupPolicy;
    }
  | { readonly kind: 'add' | 'groupdm'; readonly names: readonly string[] }
  | { readonly kind: 'role'; readonly name: string; readonly role: MemberRole }
  | { readonly kind: 'policy'; readonly policy: GroupPolicy }
  | { readonly kind: 'public'; readonly title: string }
  /** `at` another homeserver, where one is named. */
  | { readonly kind: 'join'; readonly title: string; readonly at?: string }
  | { readonly kind: 'rooms'; readonly text: string; readonly at?: string }
  /** Without a name the own line is meant. */
  | { readonly kind: 'delete'; readonly name: string | undefined }
  | { readonly kind: 'switch'; readonly chat: string }
  /** Without a time for good. */
  | { readonly kind: 'mute'; readonly forMs: number | undefined }
  | { readonly kind: LoneKind | 'nothing' }
  | { readonly kind: 'leave' }
  /** To what was just said. */
  | { readonly kind: 'yes' }
  | { readonly kind: 'refused'; readonly sentence: string };

type NamedKind = 'connect' | 'verify' | 'block' | 'unblock' | 'forget';
type MemberKind = 'remove' | 'ban' | 'unban';
type LoneKind = 'members' | 'chats' | 'help' | 'quit' | 'unmute' | 'silence' | 'unsilence';

/** What `/help` prints, one line each. */
export const HELP: readonly string[] = [
  '/connect <name>            ask somebody to connect; of another homeserver by the whole name, bob@b.example',
  '/accept [name]             accept a request, the oldest one without a name',
  '/reject [name]             reject a request',
  '/group <title> <names...>  make a group; "a title of words" goes in quotes; with --policy strict (owners and',
  '                           admins add people) or --policy moderated (moderators also say who may write)',
  '/groupdm <names...>        the conversation of just these people; nobody is added to it later',
  '/public <title>            make a public room',
  '/rooms [text]              public rooms whose names contain a text; /rooms @b.example [text] those of another',
  '                           homeserver',
  '/join <room>               enter a public room; /join @b.example <room> one of another homeserver',
  '/add <names...>            add people to the current group',
  '/remove <name>             remove somebody from the current group, if your role may; /kick is the same',
  '/ban <name>                remove somebody and keep them out',
  '/unban <name>              let somebody in again; /add or /join brings them in',
  '/role <name> <role>        make somebody ordinary, visitor, moderator, admin or owner',
  '/policy <policy>           what roles may do: cooperative, strict or moderated',
  '/delete [name]             delete the last line of somebody, or your own, at everybody',
  '/leave                     leave the current group',
  '/members                   who is in the current chat, and in which role',
  '/chats                     all chats',
  '/switch <chat>             make another chat the current one',
  '/mute [time]               no notifications of the current chat, for 30m, 8h, 2d, 1w or for good',
  '/unmute                    notifications of the current chat again',
  '/silence                   take nothing from the current chat; nobody can tell',
  '/unsilence                 take what comes from now on',
  '/block <name>              hear nothing of somebody; nobody can tell',
  '/unblock <name>            hear of somebody again',
  '/forget <name>             delete the conversation with somebody whom you blocked',
  '/verify <name>             a fingerprint to compare with the other over another way',
  '/quit                      leave this program',
  'anything else is sent to the current chat; // at the beginning sends a /',
];

/** Reads a line: a command, or text for the current chat. Never throws. */
export function parseLine(input: string): Line {
  const line = input.replace(/[\r\n]+$/, '');
  if (line.startsWith('//')) return { kind: 'text', text: line.slice(1) };
  if (!line.startsWith('/')) {
    return line.trim() === '' ? { kind: 'nothing' } : { kind: 'text', text: line };
  }
  const [word = '', ...rest] = line.split(/\s+/);
  const parse = COMMANDS.get(word);
  if (parse === undefined) return refused(`there is no command ${word}; /help lists them`);
  const words = rest.filter((each) => each !== '');
  return parse(words, line.slice(word.length).trim());
}

type Parse = (words: readonly string[], whole: string) => Line;

const COMMANDS: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ['/connect', withName('connect')],
  ['/accept', withNameOrNone('accept')],
  ['/reject', withNameOrNone('reject')],
  ['/group', (_words, whole) => parseGroup(whole)],
  [
    '/groupdm',
    (names) => (names.length > 1 ? { kind: 'groupdm', names } : usage('/groupdm <names...>')),
  ],
  ['/public', (_words, whole) => parsePublic(whole)],
  ['/join', (_words, whole) => parseJoin(whole)],
  ['/rooms', (_words, whole) => parseRooms(whole)],
  ['/role', parseRole],
  ['/policy', ([policy, ...more]) => parsePolicy(policy, more)],
  ['/delete', withNameOrNone('delete')],
  ['/add', (names) => (names.length > 0 ? { kind: 'add', names } : usage('/add <names...>'))],
  ['/remove', withName('remove')],
  ['/kick', withName('remove')],
  ['/ban', withName('ban')],
  ['/unban', withName('unban')],
  [
    '/switch',
    (_words, whole) =>
      whole === '' ? usage('/switch <chat>') : { kind: 'switch', chat: unquoted(whole) },
  ],
  ['/verify', withName('verify')],
  ['/mute', parseMute],
  ['/unmute', alone('unmute')],
  ['/silence', alone('silence')],
  ['/unsilence', alone('unsilence')],
  ['/block', withName('block')],
  ['/unblock', withName('unblock')],
  ['/forget', withName('forget')],
  ['/yes', (words) => (words.length > 0 ? usage('/yes') : { kind: 'yes' })],
  ['/leave', alone('leave')],
  ['/members', alone('members')],
  ['/chats', alone('chats')],
  ['/help', alone('help')],
  ['/quit', alone('quit')],
]);

function withName(kind: NamedKind | MemberKind): Parse {
  return ([name, ...more]) =>
    name === undefined || more.length > 0 ? usage(`/${kind} <name>`) : { kind, name };
}

function withNameOrNone(kind: 'accept' | 'reject' | 'delete'): Parse {
  return ([name, ...more]) => (more.length > 0 ? usage(`/${kind} [name]`) : { kind, name });
}

function parsePublic(whole: string): Line {
  const title = unquoted(whole).trim();
  return title === '' ? usage('/public <title>') : { kind: 'public', title };
}

function parseJoin(whole: string): Line {
  const { text, ...elsewhere } = elsewhereIn(whole);
  const title = unquoted(text).trim();
  if (title === '') return usage('/join <room>, or /join @<homeserver> <room>');
  return { kind: 'join', title, ...elsewhere };
}

function parseRooms(whole: string): Line {
  const { text, ...elsewhere } = elsewhereIn(whole);
  return { kind: 'rooms', text: unquoted(text), ...elsewhere };
}

/** `@b.example` in front names another homeserver; a room that is called so goes in quotes. */
function elsewhereIn(whole: string): { readonly text: string; readonly at?: string } {
  const [, at, text = ''] = /^@(\S+)\s*(.*)$/.exec(whole) ?? [];
  return at === undefined ? { text: whole } : { text, at };
}

function parseRole([name, word, ...more]: readonly string[]): Line {
  const role = ROLES.find((each) => each === word);
  if (name === undefined || role === undefined || more.length > 0) {
    return usage(`/role <name> <role>, the role one of ${ROLES.join(', ')}`);
  }
  return { kind: 'role', name, role };
}

function parsePolicy(word: string | undefined, more: readonly string[]): Line {
  const policy = POLICIES.find((each) => each === word);
  if (policy === undefined || more.length > 0) {
    return usage(`/policy <policy>, the policy one of ${POLICIES.join(', ')}`);
  }
  return { kind: 'policy', policy };
}

const ROLES: readonly MemberRole[] = ['ordinary', 'visitor', 'moderator', 'admin', 'owner'];
const POLICIES: readonly GroupPolicy[] = ['cooperative', 'strict', 'moderated'];

function alone(kind: LoneKind | 'leave'): Parse {
  return (words) => (words.length > 0 ? usage(`/${kind}`) : { kind });
}

/** A time as people write it: a number and its unit. */
function parseMute([time, ...more]: readonly string[]): Line {
  if (time === undefined) return { kind: 'mute', forMs: undefined };
  const [, count, unit = ''] = /^(\d{1,4})([mhdw])$/.exec(time) ?? [];
  const unitMs = UNIT_MS.get(unit);
  const forMs = Number(count) * (unitMs ?? 0);
  if (unitMs === undefined || forMs === 0 || more.length > 0) {
    return usage('/mute [time], the time like 30m, 8h, 2d or 1w');
  }
  return { kind: 'mute', forMs };
}

const MINUTE_MS = 60_000;
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['m', MINUTE_MS],
  ['h', 60 * MINUTE_MS],
  ['d', 24 * 60 * MINUTE_MS],
  ['w', 7 * 24 * 60 * MINUTE_MS],
]);

function parseGroup(line: string): Line {
  const [, word, rest = ''] = /^--policy\s+(\S+)\s*(.*)$/.exec(line) ?? [];
  const policy = word === undefined ? 'cooperative' : POLICIES.find((each) => each === word);
  if (policy === undefined) {
    return usage(
      `/group --policy <policy> <title> <names...>, the policy one of ${POLICIES.join(', ')}`,
    );
  }
  const whole = word === undefined ? line : rest;
  const [, quoted, plain, behind = ''] = /^(?:"([^"]*)"|(\S+))\s*(.*)$/.exec(whole) ?? [];
  const title = (quoted ?? plain ?? '').trim();
  const names = behind.split(/\s+/).filter((each) => each !== '');
  if (title === '' || names.length === 0) return usage('/group <title> <names...>');
  return { kind: 'group', title, names, policy };
}

function unquoted(text: string): string {
  return /^"(.*)"$/.exec(text)?.[1] ?? text;
}

function usage(form: string): Line {
  return refused(`the form is ${form}`);
}

function refused(sentence: string): Line {
  return { kind: 'refused', sentence };
}
