import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { COMMIT_RULEBOOK, authorizeCommit, refusalOfCommit } from './authorize-commit.ts';
import type { CommitRulebook } from './authorize-commit.ts';
import { authorize, refusalOfChange } from './authorize.ts';
import { commitVectors, singleVectors } from './testing-vectors.ts';
import type { VectorFile } from './testing-vectors.ts';

const path = new URL('../vectors/authorize.json', import.meta.url);
const file = JSON.parse(readFileSync(path, 'utf8')) as VectorFile;
const singles = [...singleVectors(file)];
const commits = [...commitVectors(file)];

test('the vector file is what its generator writes', () => {
  const script = fileURLToPath(new URL('../authorize-vectors.ts', import.meta.url));
  expect(() => execFileSync(execPath, [script, '--check'])).not.toThrow();
});

test('every vector is decided as it says', () => {
  const wrong = [
    ...singles.map(({ name, asked, allowed }) => ({
      name,
      allowed,
      sentence: refusalOfChange(asked),
    })),
    ...commits.map(({ name, asked, allowed }) => ({
      name,
      allowed,
      sentence: refusalOfCommit(asked),
    })),
  ].filter(({ allowed, sentence }) => allowed !== (sentence === undefined));
  expect(wrong).toEqual([]);
});

test('the vectors are many, and each kind of proposal, role and room is among them', () => {
  expect(singles.length).toBeGreaterThan(8_000);
  expect(new Set(Object.values(file.proposals))).toEqual(
    new Set([
      'add',
      'remove',
      'update',
      'psk',
      'self_remove',
      'reinit',
      'external_init',
      'group_context_extensions',
      'app_data_update',
      'none',
    ]),
  );
  expect(new Set(file.matrix.map(({ role, room, form }) => `${role} ${room} ${form}`)).size).toBe(
    9 * 6 * 3,
  );
});

/** Says the first vector that a rulebook decides otherwise. */
function firstWrong(rulebook: CommitRulebook): string | undefined {
  const isWrong = (allowed: boolean, sentence: string | undefined): boolean =>
    allowed !== (sentence === undefined);
  return (
    singles.find(({ asked, allowed }) => isWrong(allowed, refusalOfChange(asked, rulebook)))
      ?.name ??
    commits.find(({ asked, allowed }) => isWrong(allowed, refusalOfCommit(asked, rulebook)))?.name
  );
}

const { steps, rooms, limits, commits: whole } = COMMIT_RULEBOOK;
const without = <T>(rules: readonly T[], at: number): T[] => rules.toSpliced(at, 1);
const mutants: [string, CommitRulebook][] = [
  ...steps.map(({ name }, at): [string, CommitRulebook] => [
    name,
    { ...COMMIT_RULEBOOK, steps: without(steps, at) },
  ]),
  ...rooms.map(({ name }, at): [string, CommitRulebook] => [
    name,
    { ...COMMIT_RULEBOOK, rooms: without(rooms, at) },
  ]),
  ...limits.map(({ name }, at): [string, CommitRulebook] => [
    name,
    { ...COMMIT_RULEBOOK, limits: without(limits, at) },
  ]),
  ...whole.map(({ name }, at): [string, CommitRulebook] => [
    name,
    { ...COMMIT_RULEBOOK, commits: without(whole, at) },
  ]),
];

test.each(mutants)('without the rule "%s" a vector fails', (_, rulebook) => {
  expect(firstWrong(rulebook)).toBeDefined();
});

test('rules have names of their own', () => {
  expect(new Set(mutants.map(([name]) => name)).size).toBe(mutants.length);
});

test('a refusal is a sentence for people', () => {
  for (const { asked, allowed } of singles) {
    const sentence = refusalOfChange(asked);
    if (!allowed) expect(sentence).toMatch(/^[a-z][^.]{15,}[^.]$/);
  }
  const refused = singles.find(({ allowed }) => !allowed)?.asked ?? never();
  const { place, who, change, form } = refused;
  expect(() => authorize(place, who, change, form)).toThrow(Failure);
  const commit = commits.find(({ allowed }) => !allowed)?.asked ?? never();
  expect(() => authorizeCommit(commit)).toThrow(expect.objectContaining({ reason: 'NOT_ALLOWED' }));
});

function never(): never {
  throw new Error('the vectors refuse nothing');
}
