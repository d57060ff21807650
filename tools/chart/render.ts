import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

import { root } from '../steps.ts';

export const CHART = join(root, 'charts/roost');

/** An object of Kubernetes, as far as we look at it. */
export interface Resource {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface Rendered {
  readonly ok: boolean;
  readonly resources: readonly Resource[];
  /** What helm said against it. */
  readonly said: string;
}

/** Runs helm. */
export async function helm(program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const status = await new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  return { ok: status === 0, stdout, said: `${stderr}${status === 0 ? '' : stdout}` };
}

/** What the chart makes of the values of these files, or of these settings besides. */
export async function render(
  program: string,
  {
    files = [],
    sets = [],
  }: { readonly files?: readonly string[]; readonly sets?: readonly string[] },
): Promise<Rendered> {
  const { ok, stdout, said } = await helm(program, [
    ...['template', 'roost', CHART, '--namespace', 'chat'],
    ...files.flatMap((file) => ['--values', file]),
    ...sets.flatMap((set) => ['--set-json', set]),
  ]);
  if (!ok) return { ok, resources: [], said };
  const resources = parseAllDocuments(stdout)
    .map((document) => document.toJS() as Resource | null)
    .filter((each) => each !== null);
  return { ok, resources, said };
}
