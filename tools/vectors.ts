// `pnpm vectors [dir]`: runs every published vector of RFC 9420 and Privacy Pass that lies below a
// folder. Files are known by what is in them, not by their names.
import { globSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

import { kindOf, type VectorKind } from '../libs/core/src/vectors.ts';
import { mlsKinds } from '../libs/mls/conformance/kinds.ts';
import { tokenKinds } from '../libs/tokens/conformance/kinds.ts';
import { root } from './steps.ts';

const USAGE = `pnpm vectors [dir]

Runs every published test vector of RFC 9420 (MLS) and of RFC 9577, RFC 9578 and the draft of batched
tokens (Privacy Pass) that is found in the JSON files below dir, by default ../shared/vectors beside
this repository. Says what it left out and why. Ends with the line "N passed, N failed"; the exit code
is 1 if a vector failed, a file is no JSON, or there is no vector at all.
`;
const DEFAULT_FOLDER = '../shared/vectors';
const FAILURES_SHOWN = 5;

const kinds: readonly VectorKind[] = [...mlsKinds, ...tokenKinds];
const say = (line: string) => process.stdout.write(`${line}\n`);

/** What came of a file, or of all. */
interface Score {
  passed: number;
  failed: number;
  /** Whole entries that were left out. */
  skipped: number;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [given, ...more] = args.filter((arg) => arg !== '--');
  if (more.length > 0 || given?.startsWith('-') === true) {
    return refuse('vectors takes one folder; --help says more');
  }
  const folder = given === undefined ? join(root, DEFAULT_FOLDER) : resolve(given);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return refuse(`there is no folder ${given ?? DEFAULT_FOLDER} with vectors`);
  }
  const files = globSync('**/*.json', { cwd: folder, exclude: ['**/node_modules'] }).toSorted();
  const total: Score = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const score = await runFile(join(folder, file), relative(folder, join(folder, file)));
    total.passed += score.passed;
    total.failed += score.failed;
    total.skipped += score.skipped;
  }
  if (total.passed + total.failed === 0) return refuse('the folder holds no vector that is run');
  say(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

function refuse(sentence: string): number {
  process.stderr.write(`${sentence}\n`);
  say('0 passed, 1 failed');
  return 1;
}

async function runFile(path: string, name: string): Promise<Score> {
  const began = performance.now();
  const score: Score = { passed: 0, failed: 0, skipped: 0 };
  const entries = readEntries(path);
  if (entries instanceof Error) {
    say(`FAIL ${name}: it is no JSON: ${entries.message}`);
    return { ...score, failed: 1 };
  }
  const kind = kindOf(kinds, entries?.[0]);
  if (entries === undefined || kind === undefined) {
    say(`skipped ${name}: it is in no format of a vector that is known here`);
    return score;
  }
  const remarks: string[] = [];
  for (const [at, entry] of entries.entries()) {
    const remark = await runEntry(kind, entry, score);
    if (remark !== undefined) remarks.push(`  ${remark.verdict} entry ${at}: ${remark.why}`);
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const verdict = score.failed === 0 ? 'ok  ' : 'FAIL';
  const counts = `${score.passed} passed, ${score.failed} failed, ${score.skipped} skipped`;
  say(`${verdict} ${name} (${kind.name}): ${counts}, ${seconds} s`);
  const failures = remarks.filter((line) => line.startsWith('  failed'));
  for (const line of remarks) {
    if (failures.indexOf(line) < FAILURES_SHOWN) say(line);
  }
  if (failures.length > FAILURES_SHOWN) say(`  and ${failures.length - FAILURES_SHOWN} more`);
  return score;
}

/** The entries of a file; `undefined` where it is none of vectors, an error where it is no JSON. */
function readEntries(path: string): readonly unknown[] | undefined | Error {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(parsed) ? parsed : undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

interface Remark {
  readonly verdict: 'failed' | 'skipped';
  readonly why: string;
}

/** Runs one entry and counts it. */
async function runEntry(
  kind: VectorKind,
  entry: unknown,
  score: Score,
): Promise<Remark | undefined> {
  if (typeof entry !== 'object' || entry === null || kindOf([kind], entry) === undefined) {
    score.failed += 1;
    return { verdict: 'failed', why: `it lacks fields of ${kind.name}` };
  }
  try {
    const left = kind.skips(entry);
    if (left?.whole === true) {
      score.skipped += 1;
      return { verdict: 'skipped', why: left.why };
    }
    await kind.check(entry);
    score.passed += 1;
    return left === undefined ? undefined : { verdict: 'skipped', why: left.why };
  } catch (error) {
    score.failed += 1;
    return { verdict: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
}

process.exitCode = await main(process.argv.slice(2));
