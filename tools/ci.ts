// What `.ci/run` runs once the packages are there: check, the chart, tests, those on real servers, vectors, fuzzer, build,
// smoke. Jest's tests, the vectors, the fuzzer's targets and the other steps are counted one by one; the last line
// is `N passed, N failed`.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { whyNoServers } from './servers.ts';
import { run, type Outcome, type Step } from './steps.ts';

interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
    readonly message: string;
  }[];
}

const MINUTE_MS = 60_000;
const temporary = mkdtempSync(join(tmpdir(), 'roost-ci-'));
const reportOf = (step: string): string => join(temporary, `${step}.json`);
let passed = 0;
const failed: string[] = [];

/** `check` prints a line per step, `chart` one per thing that it looks at; each line counts. */
function countCheck({ ok, output, name: step }: Outcome): void {
  const lines = output.split('\n');
  passed += lines.filter((line) => line.startsWith('ok  ')).length;
  const names = lines
    .filter((line) => line.startsWith('FAIL '))
    .map((line) => `${step}: ${line.slice(5).replace(/ +[\d.]+ s$/, '')}`);
  failed.push(...names);
  if (!ok && names.length === 0) failed.push(step);
}

function countTests({ ok, name: step }: Outcome): void {
  const before = failed.length;
  try {
    const jest: JestReport = JSON.parse(readFileSync(reportOf(step), 'utf8'));
    passed += jest.numPassedTests;
    for (const file of jest.testResults) {
      const results = file.assertionResults.filter(({ status }) => status === 'failed');
      failed.push(...results.map(({ fullName }) => `${step}: ${fullName}`));
      const broken = results.length === 0 && file.assertionResults.length === 0;
      if (broken) failed.push(`${step}, file: ${file.name}`);
    }
  } catch {
    failed.push(`${step}: Jest did not get to its report`);
  }
  if (!ok && failed.length === before) failed.push(step);
}

/** The last line counts the vectors, or the targets of the fuzzer. */
function countLines({ ok, output, name: step }: Outcome): void {
  const [, good = '0'] = /(\d+) passed, \d+ failed\s*$/.exec(output) ?? [];
  passed += Number(good);
  const names = output
    .split('\n')
    .filter((line) => line.startsWith('FAIL '))
    .map((line) => `${step}: ${line.slice(5)}`);
  failed.push(...names);
  if (!ok && names.length === 0) failed.push(step);
}

function countOne({ ok, name }: Outcome): void {
  if (ok) passed += 1;
  else failed.push(name);
}

const npm = (script: string, ...args: string[]): Step['command'] => [
  ...(['npm', 'run', '-s', script, '--'] as const),
  ...args,
];
const jest = (script: string, name: string, ...args: string[]): Step => ({
  name,
  command: npm(script, '--json', `--outputFile=${reportOf(name)}`, ...args),
  timeoutMs: 30 * MINUTE_MS,
});
/** Only where the servers can be had; where they cannot, a line says so. */
const distributed: [Step, (outcome: Outcome) => void][] = [
  [jest('e2e', 'e2e'), countTests],
  [
    { name: 'faults, quick', command: npm('faults', '--quick'), timeoutMs: 8 * MINUTE_MS },
    countOne,
  ],
];
const noServers = await whyNoServers();
const steps: [Step, (outcome: Outcome) => void][] = [
  [{ name: 'check', command: npm('check'), timeoutMs: 5 * MINUTE_MS }, countCheck],
  [{ name: 'chart', command: npm('chart'), timeoutMs: 10 * MINUTE_MS }, countCheck],
  [jest('test', 'test', '--selectProjects', 'unit', 'postgres'), countTests],
  ...(noServers === undefined ? distributed : []),
  [{ name: 'vectors', command: npm('vectors'), timeoutMs: 10 * MINUTE_MS }, countLines],
  [
    {
      name: 'fuzz, short',
      command: npm('fuzz', '--seconds', '22'),
      timeoutMs: 3 * MINUTE_MS,
    },
    countLines,
  ],
  [{ name: 'build', command: npm('build'), timeoutMs: 3 * MINUTE_MS }, countOne],
  [{ name: 'bench, quick', command: npm('bench', '--quick'), timeoutMs: 6 * MINUTE_MS }, countOne],
  [
    {
      name: 'smoke: npm start and two chats',
      command: [process.execPath, 'tools/smoke.ts'],
      timeoutMs: 4 * MINUTE_MS,
    },
    countOne,
  ],
  [
    {
      name: 'smoke: the same from the bundle',
      command: [process.execPath, 'tools/smoke.ts', '--bundle'],
      timeoutMs: 4 * MINUTE_MS,
    },
    countOne,
  ],
];

for (const [step, count] of steps) {
  process.stdout.write(`\n== ${step.name}\n`);
  const outcome = await run({ ...step, loud: true });
  count(outcome);
  process.stdout.write(`== ${outcome.ok ? 'ok' : 'FAIL'}, ${(outcome.ms / 1000).toFixed(1)} s\n`);
}
rmSync(temporary, { recursive: true });

process.stdout.write('\n');
if (noServers !== undefined) {
  process.stdout.write(
    `left out: the tests and the faults on real servers, because ${noServers}\n`,
  );
}
for (const name of failed) process.stdout.write(`failed: ${name}\n`);
process.stdout.write(`${passed} passed, ${failed.length} failed\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
