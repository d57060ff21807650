import { expect, test } from '@jest/globals';
import { type Line, parseLine } from './line.ts';

const understood: readonly (readonly [input: string, line: Line])[] = [
  ['hello', { kind: 'text', text: 'hello' }],
  ['  spaces stay  ', { kind: 'text', text: '  spaces stay  ' }],
  ['//shrug', { kind: 'text', text: '/shrug' }],
  ['//', { kind: 'text', text: '/' }],
  ['', { kind: 'nothing' }],
  [' \t', { kind: 'nothing' }],
  ['windows\r\n', { kind: 'text', text: 'windows' }],
  ['/connect bob', { kind: 'connect', name: 'bob' }],
  ['/connect   bob@example.org ', { kind: 'connect', name: 'bob@example.org' }],
  ['/accept', { kind: 'accept', name: undefined }],
  ['/accept bob', { kind: 'accept', name: 'bob' }],
  ['/reject', { kind: 'reject', name: undefined }],
  ['/group Trip bob carol', { kind: 'group', title: 'Trip', names: ['bob', 'carol'] }],
  ['/group "A trip" bob', { kind: 'group', title: 'A trip', names: ['bob'] }],
  ['/add dave  erin', { kind: 'add', names: ['dave', 'erin'] }],
  ['/remove dave', { kind: 'remove', name: 'dave' }],
  ['/switch A trip', { kind: 'switch', chat: 'A trip' }],
  ['/switch "A trip"', { kind: 'switch', chat: 'A trip' }],
  ['/verify bob', { kind: 'verify', name: 'bob' }],
  ['/leave', { kind: 'leave' }],
  ['/mute', { kind: 'mute', forMs: undefined }],
  ['/mute 30m', { kind: 'mute', forMs: 1_800_000 }],
  ['/mute 8h', { kind: 'mute', forMs: 28_800_000 }],
  ['/mute 2d', { kind: 'mute', forMs: 172_800_000 }],
  ['/mute 1w', { kind: 'mute', forMs: 604_800_000 }],
  ['/unmute', { kind: 'unmute' }],
  ['/silence', { kind: 'silence' }],
  ['/unsilence', { kind: 'unsilence' }],
  ['/block bob', { kind: 'block', name: 'bob' }],
  ['/unblock bob', { kind: 'unblock', name: 'bob' }],
  ['/members', { kind: 'members' }],
  ['/chats', { kind: 'chats' }],
  ['/help', { kind: 'help' }],
  ['/quit', { kind: 'quit' }],
];

test.each(understood)('%j is understood', (input, line) => {
  expect(parseLine(input)).toEqual(line);
});

test.each([
  ['/dance', 'no command /dance'],
  ['/', 'no command /'],
  ['/Connect bob', 'no command /Connect'],
  ['/connect', '/connect <name>'],
  ['/connect bob carol', '/connect <name>'],
  ['/accept bob carol', '/accept [name]'],
  ['/group', '/group <title> <names...>'],
  ['/group Trip', '/group <title> <names...>'],
  ['/group "" bob', '/group <title> <names...>'],
  ['/add', '/add <names...>'],
  ['/switch', '/switch <chat>'],
  ['/leave now', 'the form is /leave'],
  ['/mute soon', '/mute [time]'],
  ['/mute 0m', '/mute [time]'],
  ['/mute 1h 2h', '/mute [time]'],
  ['/block', '/block <name>'],
  ['/unsilence me', 'the form is /unsilence'],
])('%j is refused', (input, words) => {
  const line = parseLine(input);
  expect(line.kind === 'refused' && line.sentence).toContain(words);
});
