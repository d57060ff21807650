import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ADVISORIES } from './advisories.ts';
import { readReadme, withTables } from './tables.ts';

test('the tables in README.md are those that the tests run by (node e2e/federation/tables.ts)', () => {
  const readme = readReadme();
  expect(readme).toBe(withTables(readme));
});

test('each advisory is tried by tests that are there', () => {
  for (const { ids, tests, besides } of ADVISORIES) {
    expect([ids, tests.length > 0 || besides !== undefined]).toEqual([ids, true]);
    for (const [file, name] of tests) {
      const source = readFileSync(join(import.meta.dirname, file), 'utf8').replaceAll("\\'", "'");
      expect([ids, file, source.includes(name)]).toEqual([ids, file, true]);
    }
  }
});
