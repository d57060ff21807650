import { expect, test } from '@jest/globals';
import { parseOptions, parseServer } from './options.ts';

const environment = { XDG_STATE_HOME: '/state' };

test('a name alone has defaults for everything', () => {
  expect(parseOptions(['Alice'], environment)).toEqual({
    name: 'alice',
    server: { address: '127.0.0.1:7680', isTls: false },
    tlsCa: undefined,
    data: '/state/roost/chat/alice',
    inviteCode: undefined,
    waitMs: 60_000,
    stays: false,
  });
});

test.each([
  ['127.0.0.1:7680', '127.0.0.1:7680', false],
  ['localhost:7680', 'localhost:7680', false],
  ['[::1]:7680', '[::1]:7680', false],
  ['roost.example:443', 'roost.example:443', true],
  ['https://roost.example', 'roost.example:443', true],
  ['https://127.0.0.1:7680', '127.0.0.1:7680', true],
  ['http://roost.example:7680/', 'roost.example:7680', false],
])('--server %s is reached at %s', (text, address, isTls) => {
  expect(parseServer(text)).toEqual({ address, isTls });
});

test.each([
  [[], 'give one name'],
  [['alice', 'bob'], 'give one name'],
  [['../alice'], 'a user name is not 2 to 63'],
  [['a'], 'a user name is not 2 to 63'],
  [['alice', '--server', 'nowhere'], '--server nowhere is not'],
  [['alice', '--server', 'ftp://x:1'], '--server ftp://x:1 is not'],
  [['alice', '--server', 'host:99999'], 'is not host:port'],
  [['alice', '--wait', 'soon'], '--wait soon is not a number of seconds'],
  [['alice', '--bogus'], 'bogus'],
])('%j is refused with a sentence', (args, words) => {
  expect(() => parseOptions(args, environment)).toThrow(words);
});

test('help is help, whatever else is said', () => {
  expect(parseOptions(['--help'], environment)).toBe('help');
});
