// `npm run fuzz`: coverage-guided fuzzing of whatever reads bytes of strangers, random walks of
// groups, and mutated messages against a running DS. Everything is replayed by its seed.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { makeCorpus, readCorpus } from './fuzz/corpus.ts';
import { Fuzzer, type Finding } from './fuzz/fuzzer.ts';
import { Coverage, loadInstrumented } from './fuzz/coverage.ts';
import { walkFor } from './fuzz/walk.ts';
import { root, run } from './steps.ts';
import type * as Targets from './fuzz/targets.ts';

const USAGE = `npm run fuzz -- [target] [--seconds N] [--seed N] [--keep]
npm run fuzz -- replay <file>           runs one input; its folder names the target
npm run fuzz -- corpus                  makes the seeds of the corpus anew
npm run fuzz -- walk [--epochs N] [--seed N]
npm run fuzz -- ds [--count N] [--seed N]

Without a target all share the seconds (default 60). What breaks a promise is written below
fuzz-findings/<target>/; the exit code is then 1. --keep adds what found new branches to the corpus.
The last line is "N passed, N failed".
`;
const FINDINGS = join(root, 'fuzz-findings');
const say = (line: string) => process.stdout.write(`${line}\n`);

interface Options {
  readonly seconds: number;
  readonly seed: number;
  readonly keep: boolean;
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: args.filter((arg) => arg !== '--'),
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      keep: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      epochs: { type: 'string', default: '5000' },
      count: { type: 'string', default: '10000' },
    },
  });
  const [what, file] = positionals;
  const seed = Number(values.seed);
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (what === 'corpus') {
    await makeCorpus();
    return 0;
  }
  if (what === 'walk') return await walkFor(Number(values.epochs), seed, say);
  if (what === 'ds') return await mutateAtDs(values.count, seed);
  const options: Options = { seconds: Number(values.seconds), seed, keep: values.keep };
  return await withTargets(async ({ targetsOf, judge }) => {
    const targets = targetsOf(readCorpus.scene());
    if (what === 'replay') return replay(targets, judge, file ?? '');
    if (what !== undefined && targets[what] === undefined) {
      process.stderr.write(
        `there is no target ${what}; there are ${Object.keys(targets).join(', ')}\n`,
      );
      return 1;
    }
    return fuzz(what === undefined ? targets : { [what]: targets[what] }, judge, options);
  });
}

async function withTargets(
  use: (module: typeof Targets) => Promise<number> | number,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'roost-fuzz-'));
  try {
    // What was bundled is that module.
    return await use((await loadInstrumented('tools/fuzz/targets.ts', folder)) as typeof Targets);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Judge = typeof Targets.judge;
type All = Record<string, Parameters<Judge>[0] | undefined>;

function fuzz(targets: All, judge: Judge, { seconds, seed, keep }: Options): number {
  say(`seed ${seed}`);
  const coverage = new Coverage();
  const each = (seconds * 1000) / Object.keys(targets).length;
  let failed = 0;
  for (const [name, target] of Object.entries(targets)) {
    if (target === undefined) continue;
    const fuzzer = new Fuzzer((bytes) => judge(target, bytes), { coverage, seed });
    const findings = fuzzer.run(readCorpus.of(name), each);
    const { runs, taken, kept } = fuzzer;
    const verdict = findings.length === 0 ? 'ok  ' : 'FAIL';
    say(`${verdict} ${name}: ${runs} runs, ${taken} taken, ${kept.length} found new branches`);
    for (const finding of findings) tell(name, finding);
    if (keep) readCorpus.keep(name, kept);
    failed += findings.length > 0 ? 1 : 0;
  }
  say(`${Object.keys(targets).length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function tell(name: string, { bytes, why }: Finding): void {
  const folder = join(FINDINGS, name);
  mkdirSync(folder, { recursive: true });
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  const path = join(folder, `${digest}.bin`);
  writeFileSync(path, bytes);
  say(`  ${why.split('\n', 4).join('\n  ')}`);
  say(`  again: npm run fuzz -- replay ${relative(root, path)}`);
}

function replay(targets: All, judge: Judge, file: string): number {
  const path = resolve(file);
  const name = path.split(/[/\\]/).at(-2) ?? '';
  const target = targets[name];
  if (target === undefined) throw new Error(`the folder ${name} names no target`);
  const began = performance.now();
  say(`${name}: ${judge(target, Uint8Array.from(readFileSync(path)))}`);
  say(`${(performance.now() - began).toFixed(1)} ms`);
  return 0;
}

/** The story of hostile bytes at its full length. */
async function mutateAtDs(count: string, seed: number): Promise<number> {
  const jest = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
  const story = ['--selectProjects', 'postgres', '--testPathPatterns', 'hostile-bytes'];
  const env = { ...process.env, ROOST_HOSTILE_COUNT: count, ROOST_SEED: String(seed) };
  const command = [process.execPath, ...jest, ...story] as const;
  const outcome = await run({
    name: 'hostile bytes',
    command,
    env,
    timeoutMs: 3_600_000,
    loud: true,
  });
  return outcome.ok ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
