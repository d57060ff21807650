import { expect, test } from '@jest/globals';
import { helpOf, listOf, parseCommandLine } from './command-line.ts';
import type { Fault } from './fault.ts';

const strike = async (): Promise<void> => undefined;
const faults: Fault[] = [
  { name: 'kill ds', about: 'one of two', isQuick: true, strike },
  { name: 'kill qs', about: 'one of two', strike },
  { name: 'nats', about: 'stopped', strike },
];

function namesOf(...args: string[]): string[] {
  const options = parseCommandLine(args, faults);
  return typeof options === 'string' ? [options] : options.faults.map(({ name }) => name);
}

test('all faults are struck, or a selection, or those that are named', () => {
  expect(namesOf()).toEqual(['kill ds', 'kill qs', 'nats']);
  expect(namesOf('--quick')).toEqual(['kill ds']);
  expect(namesOf('--only', 'nats,kill q')).toEqual(['kill qs', 'nats']);
  expect(namesOf('--only', 'kill')).toEqual(['kill ds', 'kill qs']);
});

test('a seed repeats a run', () => {
  expect(parseCommandLine(['--seed', '7'], faults)).toMatchObject({ seed: 7 });
});

test('help and list name every fault', () => {
  expect([namesOf('--help'), namesOf('--list')]).toEqual([['help'], ['list']]);
  expect(listOf(faults)).toBe('* kill ds  one of two\n  kill qs  one of two\n  nats     stopped');
  expect(helpOf(faults)).toContain(listOf(faults));
});

test.each([
  [['--only', 'flood'], '--only flood: see --list'],
  [['--only', ''], '--only : see --list'],
  [['--streams', '0'], '--streams 0: give a number from 1 to 5000'],
  [['--seed', 'x'], '--seed x: give a whole number'],
  [['--quik'], "Unknown option '--quik': see --help"],
])('%j is refused with a sentence', (args, sentence) => {
  expect(() => parseCommandLine(args, faults)).toThrow(sentence);
});
