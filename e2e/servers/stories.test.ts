// Every story runs over separate services, unless e2e/README.md says why it does not.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

interface Project {
  readonly displayName: string;
  readonly testPathIgnorePatterns?: readonly string[];
}

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { jest }: { jest: { projects: Project[] } } = JSON.parse(read('package.json'));
const ignored = jest.projects
  .filter(({ displayName }) => displayName === 'servers')
  .flatMap(({ testPathIgnorePatterns = [] }) => testPathIgnorePatterns)
  .map((pattern) => new RegExp(pattern));
const stories = globSync('e2e/{client,stories}/*.test.ts', { cwd: root }).filter(
  (path) => !path.endsWith('.servers.test.ts'),
);

test('the README names exactly the stories that run all in one alone, each with its reason', () => {
  const rows = [
    ...read('e2e/README.md').matchAll(/^\| `((?:client|stories)\/[a-z-]+)` \| (.+) \|$/gm),
  ];
  const excused = rows.map(([, path]) => `e2e/${path}`).toSorted();
  const left = stories.filter((path) => ignored.some((pattern) => pattern.test(`/${path}`)));
  expect(left.length).toBe(excused.length);
  for (const [at, path] of left.toSorted().entries())
    expect(path).toMatch(new RegExp(`^${excused[at]}`));
});

test('a story that opens a homeserver of one process is one of them', () => {
  const inProcess = stories.filter((path) => read(path).includes('AllInOne.open('));
  const running = inProcess.filter((path) => !ignored.some((pattern) => pattern.test(`/${path}`)));
  expect(running).toEqual([]);
});
