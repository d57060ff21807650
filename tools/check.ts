// `npm run check`: everything that can be said without running a test. One line per step; the
// output of a failed step follows at the end.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { bin, print, root, run, runAll, type Step } from './steps.ts';

const generate: Step = { name: 'gen', command: [process.execPath, join(root, 'tools/gen.ts')] };

const steps: Step[] = [
  {
    name: 'oxlint',
    command: [
      bin('oxlint'),
      '--format=unix',
      '--type-aware',
      '--deny-warnings',
      '--report-unused-disable-directives',
    ],
  },
  { name: 'tsc', command: [bin('tsc'), '--noEmit', '-p', '.'] },
  { name: 'oxfmt', command: [bin('oxfmt'), '--check', '.'] },
  { name: 'knip', command: [bin('knip'), '--no-progress', '--no-config-hints'] },
  { name: 'buf lint', command: [bin('buf'), 'lint', 'proto'] },
];

const release = lastRelease();
if (release !== undefined) {
  const against = `.git#tag=${release},subdir=proto`;
  steps.push({
    name: `buf breaking (${release})`,
    command: [bin('buf'), 'breaking', 'proto', '--against', against],
  });
}

const generated = await run(generate);
print(generated);
const outcomes = [generated];
if (generated.ok) outcomes.push(...(await runAll(steps, 2)));
if (release === undefined) {
  process.stdout.write(
    '--   buf breaking             no release tag yet: nothing to compare with\n',
  );
}
for (const outcome of outcomes.filter(({ ok }) => !ok)) {
  process.stdout.write(`\n--- ${outcome.name}\n${outcome.output.trimEnd()}\n`);
}
process.exitCode = outcomes.every(({ ok }) => ok) ? 0 : 1;

/** The newest release tag that this commit descends from; a folder without git has none. */
function lastRelease(): string | undefined {
  try {
    const args = ['describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*'];
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}
