// `npm run chart [-- --write]`: all that can be said of the chart without a cluster: helm lint, the profiles rendered,
// the restricted Pod Security Standard, every value used and every used value declared, good and wrong values, and
// that README.md has a line for each value (`--write` writes them).
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { environmentOffences } from './chart/environments.ts';
import { federationOffences } from './chart/federation.ts';
import { fetchTool } from './chart/helm.ts';
import { monitoringOffences } from './chart/monitoring.ts';
import { offences } from './chart/pods.ts';
import { policyOffences } from './chart/policies.ts';
import { CHART, helm, render, type Rendered } from './chart/render.ts';
import { TRIALS, WRONG } from './chart/trials.ts';
import { type Declared, declaredValues, undeclared } from './chart/values.ts';
import { parseOptions } from './cluster/options.ts';
import { federatedOf, valuesOf } from './cluster/values.ts';

const program = fetchTool('helm');
const PROFILES = ['small', 'medium', 'large'] as const;
const declared = declaredValues();
let failed = 0;

/** One line for each thing that is looked at, and what is wrong with it. */
function report(name: string, wrong: readonly string[]): void {
  process.stdout.write(`${wrong.length === 0 ? 'ok  ' : 'FAIL'} ${name}\n`);
  for (const each of wrong) process.stdout.write(`     ${each.trim()}\n`);
  if (wrong.length > 0) failed += 1;
}

/** Several at once; told in their order. */
async function reportAll<T>(
  all: readonly T[],
  look: (each: T) => readonly [name: string, wrong: Promise<readonly string[]>],
): Promise<void> {
  const width = availableParallelism();
  for (let from = 0; from < all.length; from += width) {
    const looks = all.slice(from, from + width).map(look);
    for (const [name, wrong] of looks) report(name, await wrong);
  }
}

const fileOf = (profile: string): string => join(CHART, `ci/${profile}-values.yaml`);
const [small, medium, large] = await Promise.all(
  PROFILES.map(async (profile) => await render(program, { files: [fileOf(profile)] })),
);
const rendered = { small, medium, large } as Record<(typeof PROFILES)[number], Rendered>;

for (const profile of PROFILES) {
  const linted = await helm(program, ['lint', '--strict', CHART, '--values', fileOf(profile)]);
  report(`lint (${profile})`, linted.ok ? [] : [linted.said]);
  const { ok, said, resources } = rendered[profile];
  report(`renders ${resources.length} resources (${profile})`, ok ? [] : [said]);
  report(`restricted pods (${profile})`, resources.flatMap(offences));
  report(`who may reach whom (${profile})`, policyOffences(resources));
  const again = await render(program, { files: [fileOf(profile)] });
  const isSame = isDeepStrictEqual(again.resources, resources);
  report(
    `renders the same again (${profile})`,
    isSame ? [] : ['it does not: nothing may be random'],
  );
  report(`programs take what they are told (${profile})`, await environmentOffences(resources));
}

report(
  'federation is there where it is wanted',
  federationOffences(rendered.small.resources, rendered.medium.resources),
);
report('every value that is used is declared', undeclared(declared));
report(
  'every value has a comment',
  declared.filter(({ comment }) => comment === '').map(({ path }) => path),
);
await reportAll(declared, ({ path }) => [`changes something: ${path}`, tried(path)]);
report(
  'no trial of a value that is not there',
  Object.keys(TRIALS).filter((path) => !declared.some((each) => each.path === path)),
);
await reportAll(WRONG, ([sets, says]) => [`refuses ${sets.join(' ')}`, refused(sets, says)]);
report('takes what `npm run cluster` says', await takenOnCluster());
report('alerts and dashboards', monitoringOffences());
report('says all that is wrong at once', await refusedAtOnce());
report('README.md has the values', documented());

process.stdout.write(failed === 0 ? 'the chart is in order\n' : `${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

/** What is rendered, or how it is refused, has to be another. */
async function tried(path: string): Promise<string[]> {
  const trial = TRIALS[path];
  if (trial === undefined) return ['say in tools/chart/trials.ts what to try'];
  const { on = 'small', value } = trial;
  // The DS's and the AS's are as good as any; listeners are the QS's.
  const set = `${path.replace('<name>', 'qs')}=${JSON.stringify(value)}`;
  const other = await render(program, { files: [fileOf(on)], sets: [set] });
  const isSame = other.ok && isDeepStrictEqual(other.resources, rendered[on].resources);
  return isSame ? ['nothing changes by it'] : [];
}

async function refused(sets: readonly string[], says: string): Promise<string[]> {
  const { ok, said } = await render(program, { files: [fileOf('small')], sets });
  if (ok) return ['it is taken'];
  return said.includes(says) ? [] : [`it says: ${said}`];
}

async function refusedAtOnce(): Promise<string[]> {
  const { said } = await render(program, {});
  const expected = ['domain:', 'services.ds.database', 'services.as.nats', 'nats.servers', 'redis'];
  return expected
    .filter((each) => !said.includes(each))
    .map((each) => `it says nothing of ${each}`);
}

/** A homeserver by itself, and one that speaks to another. */
async function takenOnCluster(): Promise<string[]> {
  const options = parseOptions(['--servers', 'own.example']);
  if (options === undefined) return ['it says nothing'];
  const said = await Promise.all(
    [valuesOf(options), federatedOf(options, 'one', 'two')].map(async (values) => {
      const sets = Object.entries(values).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      return await render(program, { sets });
    }),
  );
  return said.filter(({ ok }) => !ok).map((each) => each.said);
}

function documented(): string[] {
  const file = join(CHART, 'README.md');
  const [begin, end] = ['<!-- values: by `npm run chart -- --write` -->', '<!-- /values -->'];
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) return ['the marks around its table are gone'];
  const whole = `${text.slice(0, from)}${begin}\n${tableOf(declared)}${text.slice(to)}`;
  if (whole === text) return [];
  if (!process.argv.includes('--write')) return ['it is behind: npm run chart -- --write'];
  writeFileSync(file, whole);
  return [];
}

function tableOf(values: readonly Declared[]): string {
  const rows = values.map(
    ({ path, value, comment }) => `| \`${path}\` | \`${value}\` | ${comment} |`,
  );
  return ['| value | unless said otherwise | |', '| --- | --- | --- |', ...rows, ''].join('\n');
}
