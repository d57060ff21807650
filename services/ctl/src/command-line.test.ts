import { expect, test } from '@jest/globals';
import { parseCommandLine } from './command-line.ts';

test('invites are made one at a time where nothing is said, and counted', () => {
  expect(parseCommandLine(['invites', 'create'])).toEqual({
    place: { data: undefined },
    command: { kind: 'invites-create', count: 1, days: 30 },
  });
  const args = ['--data', '/a b', 'invites', 'create', '--count', '5', '--days', '7'];
  expect(parseCommandLine(args)).toEqual({
    place: { data: '/a b' },
    command: { kind: 'invites-create', count: 5, days: 7 },
  });
  expect(parseCommandLine(['invites', 'list']).command).toEqual({ kind: 'invites-list' });
  expect(parseCommandLine(['--help']).command).toEqual({ kind: 'help' });
});

test('where it is may be said by the environment, all or nothing', () => {
  const place = {
    ROOSTCTL_ADDRESS: 'as:7443',
    ROOSTCTL_CERTIFICATES: '/c',
    ROOSTCTL_DOMAIN: 'home.example',
  };
  const named = { addresses: ['as:7443'], certificates: '/c', domain: 'home.example' };
  expect(parseCommandLine(['invites', 'list'], place).place).toEqual(named);
  expect(parseCommandLine(['invites', 'list', '--data', '/d'], place).place).toEqual({
    data: '/d',
  });
  expect(() => parseCommandLine(['invites', 'list'], { ROOSTCTL_ADDRESS: 'as:7443' })).toThrow(
    'belong together',
  );
});

test.each([
  [[], /say what to do.*--help/],
  [['invites'], /no "invites".*--help/],
  [['invites', 'make'], /no "invites make".*--help/],
  [['invites', 'create', '--count', '0'], /--count "0" .*1 to 1000/],
  [['invites', 'create', '--count', 'many'], /--count "many"/],
  [['invites', 'list', '--count', '1'], /belong to "invites create"/],
  [['certificates', '--domain', 'a.example'], /--out/],
  [['certificates', '--domain', 'A b', '--out', '/c'], /--domain: give a domain name/],
  [['invites', 'list', '--out', '/c'], /--out belongs to/],
  [['invites', 'list', '--address', 'as:7443'], /belong together/],
  [['invites', 'list', '--verbose'], /'--verbose'.*--help/],
])('%j is refused with a sentence', (args, sentence) => {
  expect(() => parseCommandLine(args)).toThrow(sentence);
});
