import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { compare } from '@roost/core/bytes';
import { nodeCrypto } from '@roost/crypto/node';
import { encodePublicGroup } from './stored.ts';
import { ADDS } from './testing-checks-adds.ts';
import { BUNDLES } from './testing-checks-bundles.ts';
import { CONTEXTS, EXTERNALS } from './testing-checks-commits.ts';
import { FRAMING } from './testing-checks-framing.ts';
import { PATHS } from './testing-checks-paths.ts';
import { PROPOSALS } from './testing-checks-proposals.ts';
import { UPDATES } from './testing-checks-updates.ts';
import type { Check } from './testing-checks.ts';
import { failureOf, makeScene } from './testing-scene.ts';
import type { TestScene } from './testing-scene.ts';
import { stage } from './testing.ts';

let scene: TestScene;

beforeAll(async () => {
  scene = await makeScene(nodeCrypto);
});

test('what the checks start from is accepted', () => {
  const { group, update, add, external } = scene;
  for (const made of [update, add, external]) expect(stage(group, made).kind).toBe('commit');
});

describe.each<[string, readonly Check[]]>([
  ['framing', FRAMING],
  ['proposals', PROPOSALS],
  ['updates', UPDATES],
  ['adds', ADDS],
  ['extensions of the group', CONTEXTS],
  ['paths', PATHS],
  ['external commits', EXTERNALS],
  ['GroupInfos and Welcomes', BUNDLES],
])('%s', (_, checks) => {
  test.each(checks.map((check) => [check.of, check.says, check] as const))(
    '%s is refused: %s',
    async (_of, says, { make, reason = 'INVALID_MLS' }) => {
      const { group, run } = await make(scene);
      const before = encodePublicGroup(group);

      const failure = failureOf(run);

      expect(failure.message).toContain(says);
      expect(failure.reason).toBe(reason);
      expect(compare(encodePublicGroup(group), before)).toBe(0);
    },
  );
});

test('every rule of RFC 9420 that this library refuses by is one that a test has seen broken', () => {
  const folder = new URL('.', import.meta.url);
  const read = (isTest: boolean) =>
    readdirSync(folder)
      .filter((name) => /testing|test\.ts$/.test(name) === isTest)
      .map((name) => readFileSync(new URL(name, folder), 'utf8'))
      .join('\n');
  const tests = read(true);
  const sentences = [...read(false).matchAll(REFUSALS)]
    .map(([, , sentence = '']) => sentence)
    .filter((sentence) => sentence.includes('RFC 9420'));

  // Of a sentence with something set in, the longest part that stands by itself.
  const unseen = sentences
    .map((sentence) => longest(sentence.split(/\$\{[^}]*\}/)))
    .filter((part) => !tests.includes(part));

  expect(sentences.length).toBeGreaterThan(70);
  expect(unseen).toEqual([]);
});

const REFUSALS = /(?:invalid|invalidProposal|mismatch|welcomeMismatch|refuse)\(\s*(['"`])(.*?)\1/gs;

function longest(parts: readonly string[]): string {
  return parts.toSorted((one, other) => other.length - one.length)[0] ?? '';
}
