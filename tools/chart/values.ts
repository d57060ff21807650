import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { CHART } from './render.ts';

/** A value as its file declares it: where it is, what it is unless something else is said, and what it is for. */
export interface Declared {
  readonly path: string;
  readonly value: string;
  readonly comment: string;
}

/**
 * The values of values.yaml, by their lines. A value has a comment that begins with `--`; what has none is a group.
 * The services have the same values, written once (`&service`): they are `services.<name>.…` here.
 */
export function declaredValues(): Declared[] {
  const declared: Declared[] = [];
  const path: { readonly indent: number; readonly name: string }[] = [];
  let comment = '';
  for (const line of readFileSync(join(CHART, 'values.yaml'), 'utf8').split('\n')) {
    // The formatter puts what follows an anchor beside it.
    const said = /^\s*(?:\w+: &\w+ )?# -- (.*)$/.exec(line)?.[1];
    if (said !== undefined) comment = said;
    const [, spaces = '', name, value = ''] = /^( *)([A-Za-z]\w*): ?(.*)$/.exec(line) ?? [];
    if (name === undefined || value.startsWith('*')) continue;
    while ((path.at(-1)?.indent ?? -1) >= spaces.length) path.pop();
    path.push({ indent: spaces.length, name });
    const isGroup = value === '' || value.startsWith('&');
    if (isGroup) continue;
    const full = path
      .map((each) => each.name)
      .join('.')
      .replace(/^services\.as\b/, 'services.<name>');
    declared.push({ path: full, value, comment });
    comment = '';
  }
  return declared;
}

/** What templates ask for by its whole path; inside a `with` a name that is not there has no effect, which is tried. */
export function usedValues(): string[] {
  const used = new Set<string>();
  for (const file of globSync('templates/**/*', { cwd: CHART, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const text = readFileSync(join(file.parentPath, file.name), 'utf8');
    for (const [, path = ''] of text.matchAll(/\.Values\.([A-Za-z][\w.]*)/g)) used.add(path);
    for (const [, path = ''] of text.matchAll(/\$own\.([A-Za-z][\w.]*)/g)) {
      // Of a service, of the edge, or of a server that services stand on.
      used.add(`services.<name>.${path}`);
    }
  }
  return [...used].toSorted();
}

/** Of what is used, what is declared nowhere: neither as a value nor as a group of values. */
export function undeclared(declared: readonly Declared[]): string[] {
  const isDeclared = (path: string): boolean =>
    declared.some((each) => each.path === path || each.path.startsWith(`${path}.`));
  return usedValues().filter((path) => {
    if (isDeclared(path)) return false;
    const own = path.replace(/^services\.<name>\./, '');
    return own === path || !['edge', 'nats'].some((group) => isDeclared(`${group}.${own}`));
  });
}
