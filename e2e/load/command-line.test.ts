import { expect, test } from '@jest/globals';
import { helpOf, parseCommandLine } from './command-line.ts';

const names = ['tokens', 'commits'];

test('a bench without options measures everything', () => {
  expect(parseCommandLine([], names)).toEqual({
    quick: false,
    only: [],
    listeners: 2_000,
    replicas: [],
  });
});

test('some scenarios can be chosen, quickly', () => {
  const options = parseCommandLine(['--quick', '--only', 'commits,tokens'], names);
  expect(options).toEqual({
    quick: true,
    only: ['commits', 'tokens'],
    listeners: 300,
    replicas: [],
  });
});

test('a distributed bench has one homeserver after the other', () => {
  expect(parseCommandLine(['--distributed'], names)).toMatchObject({
    ...{ replicas: [1, 2], listeners: 10_000 },
  });
  expect(parseCommandLine(['--distributed', '--quick'], names)).toMatchObject({ replicas: [2] });
  const three = ['--distributed', '--replicas', '3'];
  expect(parseCommandLine(three, names)).toMatchObject({ replicas: [3] });
});

test.each([
  [['--only', 'nonsense'], '--only nonsense: give some of tokens, commits'],
  [['--only', ''], '--only : give some of tokens, commits'],
  [['--listeners', 'many'], '--listeners many: give a number from 1 to 20000'],
  [['--listeners', '0'], '--listeners 0: give a number from 1 to 20000'],
  [['--replicas', '2'], '--replicas goes with --distributed: give both'],
  [['--distributed', '--replicas', '0'], '--replicas 0: give numbers from 1 to 8'],
  [['--fast'], "Unknown option '--fast': see --help"],
])('%j is refused by a sentence', (args, sentence) => {
  expect(() => parseCommandLine(args, names)).toThrow(sentence);
});

test('the help names every scenario', () => {
  expect(parseCommandLine(['--help'], names)).toBe('help');
  const help = helpOf(
    [{ name: 'tokens', about: 'what a token costs' }],
    [{ name: 'gate', about: 'what Envoy adds' }],
  );
  expect(help).toContain('what a token costs');
  expect(help).toContain('what Envoy adds');
});
