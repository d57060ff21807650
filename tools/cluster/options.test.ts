import { expect, test } from '@jest/globals';
import { HELP, parseOptions, STEPS } from './options.ts';

test('nothing said is a trial of all steps with the usual image', () => {
  expect(parseOptions([])).toMatchObject({
    image: 'roost.local/roost:dev',
    ...{ volumes: [], previous: 'HEAD~1', previousImage: undefined, pairs: 6, everyMs: 500 },
    ...{ only: undefined, isKept: false },
  });
});

test('what is said counts', () => {
  const said = [
    ...['--volume', '/one,/two', '--only', 'install,restore', '--previous-image', 'a/b:c'],
    ...['--every', '1000', '--keep'],
  ];
  expect(parseOptions(said)).toMatchObject({
    ...{ volumes: ['/one', '/two'], only: ['install', 'restore'], previousImage: 'a/b:c' },
    ...{ everyMs: 1000, isKept: true },
  });
});

test('a step that is not there is refused, and not left out in silence', () => {
  expect(() => parseOptions(['--only', 'install,rehearse'])).toThrow(
    /no step rehearse, only apply, install/,
  );
});

test('help is asked for, and names every step', () => {
  expect(parseOptions(['--help'])).toBeUndefined();
  for (const step of STEPS) expect(HELP).toContain(` ${step}`);
});
