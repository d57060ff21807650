import { spawnSync } from 'node:child_process';
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
export function helm(program: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  return { ok: status === 0, stdout, said: `${stderr}${status === 0 ? '' : stdout}` };
}

/** What the chart makes of the values of these files, or of these settings besides. */
export function render(
  program: string,
  {
    files = [],
    sets = [],
  }: { readonly files?: readonly string[]; readonly sets?: readonly string[] },
): Rendered {
  const { ok, stdout, said } = helm(program, [
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
