/** One line of input, understood. */
export type Line =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: NamedKind; readonly name: string }
  /** Without a name the oldest request is meant. */
  | { readonly kind: 'accept' | 'reject'; readonly name: string | undefined }
  | { readonly kind: 'group'; readonly title: string; readonly names: readonly string[] }
  | { readonly kind: 'add'; readonly names: readonly string[] }
  | { readonly kind: 'switch'; readonly chat: string }
  /** Without a time for good. */
  | { readonly kind: 'mute'; readonly forMs: number | undefined }
  | { readonly kind: LoneKind | 'nothing' }
  | { readonly kind: 'refused'; readonly sentence: string };

type NamedKind = 'connect' | 'remove' | 'verify' | 'block' | 'unblock';
type LoneKind =
  | 'leave'
  | 'members'
  | 'chats'
  | 'help'
  | 'quit'
  | 'unmute'
  | 'silence'
  | 'unsilence';

/** What `/help` prints, one line each. */
export const HELP: readonly string[] = [
  '/connect <name>            ask somebody to connect',
  '/accept [name]             accept a request, the oldest one without a name',
  '/reject [name]             reject a request',
  '/group <title> <names...>  make a group; "a title of words" goes in quotes',
  '/add <names...>            add people to the current group',
  '/remove <name>             remove somebody from the current group, if you own it',
  '/leave                     leave the current group',
  '/members                   who is in the current chat',
  '/chats                     all chats',
  '/switch <chat>             make another chat the current one',
  '/mute [time]               no notifications of the current chat, for 30m, 8h, 2d, 1w or for good',
  '/unmute                    notifications of the current chat again',
  '/silence                   take nothing from the current chat; nobody can tell',
  '/unsilence                 take what comes from now on',
  '/block <name>              hear nothing of somebody; nobody can tell',
  '/unblock <name>            hear of somebody again',
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
  ['/add', (names) => (names.length > 0 ? { kind: 'add', names } : usage('/add <names...>'))],
  ['/remove', withName('remove')],
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
  ['/leave', alone('leave')],
  ['/members', alone('members')],
  ['/chats', alone('chats')],
  ['/help', alone('help')],
  ['/quit', alone('quit')],
]);

function withName(kind: NamedKind): Parse {
  return ([name, ...more]) =>
    name === undefined || more.length > 0 ? usage(`/${kind} <name>`) : { kind, name };
}

function withNameOrNone(kind: 'accept' | 'reject'): Parse {
  return ([name, ...more]) => (more.length > 0 ? usage(`/${kind} [name]`) : { kind, name });
}

function alone(kind: LoneKind): Parse {
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

function parseGroup(whole: string): Line {
  const [, quoted, plain, behind = ''] = /^(?:"([^"]*)"|(\S+))\s*(.*)$/.exec(whole) ?? [];
  const title = (quoted ?? plain ?? '').trim();
  const names = behind.split(/\s+/).filter((each) => each !== '');
  if (title === '' || names.length === 0) return usage('/group <title> <names...>');
  return { kind: 'group', title, names };
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
