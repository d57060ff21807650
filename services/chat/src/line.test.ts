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
])('%j is refused', (input, words) => {
  const line = parseLine(input);
  expect(line.kind === 'refused' && line.sentence).toContain(words);
});
