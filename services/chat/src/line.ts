/** One line of input, understood. */
export type Line =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'connect' | 'remove' | 'verify'; readonly name: string }
  /** Without a name the oldest request is meant. */
  | { readonly kind: 'accept' | 'reject'; readonly name: string | undefined }
  | { readonly kind: 'group'; readonly title: string; readonly names: readonly string[] }
  | { readonly kind: 'add'; readonly names: readonly string[] }
  | { readonly kind: 'switch'; readonly chat: string }
  | { readonly kind: 'leave' | 'members' | 'chats' | 'help' | 'quit' | 'nothing' }
  | { readonly kind: 'refused'; readonly sentence: string };

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
  ['/leave', alone('leave')],
  ['/members', alone('members')],
  ['/chats', alone('chats')],
  ['/help', alone('help')],
  ['/quit', alone('quit')],
]);

function withName(kind: 'connect' | 'remove' | 'verify'): Parse {
  return ([name, ...more]) =>
    name === undefined || more.length > 0 ? usage(`/${kind} <name>`) : { kind, name };
}

function withNameOrNone(kind: 'accept' | 'reject'): Parse {
  return ([name, ...more]) => (more.length > 0 ? usage(`/${kind} [name]`) : { kind, name });
}

function alone(kind: 'leave' | 'members' | 'chats' | 'help' | 'quit'): Parse {
  return (words) => (words.length > 0 ? usage(`/${kind}`) : { kind });
}

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
