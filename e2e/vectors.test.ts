import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';

const temporary = mkdtempSync(join(tmpdir(), 'roost-vectors-'));
afterAll(() => rmSync(temporary, { recursive: true }));

const threeNodes = {
  n_leaves: 2,
  n_nodes: 3,
  root: 1,
  left: [null, 0, null],
  right: [null, 2, null],
  parent: [1, null, 1],
  sibling: [2, null, 0],
};
const header = { vlbytes_header: '40ff', length: 255 };

let folders = 0;

/** Runs the command on a folder of these files. */
function run(files: Readonly<Record<string, unknown>>, ...more: string[]) {
  const folder = join(temporary, String(folders++));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(join(folder, name), text);
  }
  return vectors(folder, ...more);
}

function vectors(...args: string[]) {
  const command = join(import.meta.dirname, '../tools/vectors.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], {
    encoding: 'utf8',
  });
  return { status, lines: stdout.trimEnd().split('\n'), stderr };
}

test('vectors are found in any folder below, by what is in them', () => {
  const { status, lines } = run({
    'a.json': [threeNodes, threeNodes],
    'deep/er/some-name.json': [header],
    'deep/other.json': { name: 'not vectors' },
    'deep/README.md': 'no JSON at all',
  });
  expect(lines).toEqual([
    expect.stringMatching(/^ok {3}a\.json \(tree-math\): 2 passed, 0 failed, 0 skipped, /),
    expect.stringMatching(/^ok {3}deep\/er\/some-name\.json \(deserialization\): 1 passed/),
    'skipped deep/other.json: it is in no format of a vector that is known here',
    '3 passed, 0 failed',
  ]);
  expect(status).toBe(0);
});

test('one broken vector fails the run, and the others are still counted', () => {
  const broken = { ...threeNodes, parent: [1, null, 0] };
  const { status, lines } = run({
    'tree.json': [threeNodes, broken, threeNodes],
    'lengths.json': [{ ...header, length: 254 }, header, { vlbytes_header: '40ff' }],
  });
  expect(lines).toEqual([
    expect.stringMatching(/^FAIL lengths\.json \(deserialization\): 1 passed, 2 failed/),
    expect.stringMatching(/^ {2}failed entry 0: what a vector of that length says is /),
    '  failed entry 2: it lacks fields of deserialization',
    expect.stringMatching(/^FAIL tree\.json \(tree-math\): 2 passed, 1 failed/),
    '  failed entry 1: parent of 2 is 1, published is 0',
    '3 passed, 3 failed',
  ]);
  expect(status).toBe(1);
});

test('a file that is no JSON fails the run', () => {
  const { status, lines } = run({ 'bad.json': '[{"n_leaves": 2', 'good.json': [threeNodes] });
  expect(lines[0]).toMatch(/^FAIL bad\.json: it is no JSON: /);
  expect(lines.at(-1)).toBe('1 passed, 1 failed');
  expect(status).toBe(1);
});

test('what is left out is named with its reason', () => {
  const tokenFields = ['token_challenge', 'nonce', 'blind', 'token_response', 'token'];
  const token = {
    ...Object.fromEntries(tokenFields.map((field) => [field, ''])),
    token_request: '0001ab',
  };
  const { status, lines } = run({ 'tokens.json': [token], 'tree.json': [threeNodes] });
  expect(lines.slice(0, 2)).toEqual([
    expect.stringMatching(/^ok {3}tokens\.json \(.*\): 0 passed, 0 failed, 1 skipped/),
    '  skipped entry 0: type 0x0001 (VOPRF over P-384) is not issued here',
  ]);
  expect(lines.at(-1)).toBe('1 passed, 0 failed');
  expect(status).toBe(0);
});

test.each([
  ['a folder that is missing', () => vectors(join(temporary, 'missing')), 'there is no folder'],
  ['a folder without vectors', () => run({ 'a.json': [], 'b.json': {} }), 'holds no vector'],
  ['two folders', () => vectors('a', 'b'), 'takes one folder'],
  ['an option', () => vectors('--quick'), 'takes one folder'],
])('%s ends with a sentence', (_, command, sentence) => {
  const { status, lines, stderr } = command();
  expect(stderr).toContain(sentence);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(lines.at(-1)).toBe('0 passed, 1 failed');
  expect(status).toBe(1);
});

test('--help says how it is used', () => {
  const { status, lines } = vectors('--help');
  expect(lines[0]).toBe('pnpm vectors [dir]');
  expect(status).toBe(0);
});
