import { expect, test } from '@jest/globals';
import { helpOf, parseCommandLine } from './command-line.ts';

const names = ['tokens', 'commits'];

test('a bench without options measures everything', () => {
  expect(parseCommandLine([], names)).toEqual({ quick: false, only: [], listeners: 2_000 });
});

test('some scenarios can be chosen, quickly', () => {
  const options = parseCommandLine(['--quick', '--only', 'commits,tokens'], names);
  expect(options).toEqual({ quick: true, only: ['commits', 'tokens'], listeners: 300 });
});

test.each([
  [['--only', 'nonsense'], '--only nonsense: give some of tokens, commits'],
  [['--only', ''], '--only : give some of tokens, commits'],
  [['--listeners', 'many'], '--listeners many: give a number from 1 to 20000'],
  [['--listeners', '0'], '--listeners 0: give a number from 1 to 20000'],
  [['--fast'], "Unknown option '--fast': see --help"],
])('%j is refused by a sentence', (args, sentence) => {
  expect(() => parseCommandLine(args, names)).toThrow(sentence);
});

test('the help names every scenario', () => {
  expect(parseCommandLine(['--help'], names)).toBe('help');
  expect(helpOf([{ name: 'tokens', about: 'what a token costs' }])).toContain('what a token costs');
});
