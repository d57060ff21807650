import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

import { root } from '../steps.ts';
import { CHART } from './render.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
}

interface Panel {
  readonly title: string;
  readonly lines: Readonly<Record<string, string>>;
}

/** Numbers that no process of ours tells, in alerts and dashboards; and alerts that README.md says nothing of. */
export function monitoringOffences(): string[] {
  const told = readFileSync(join(root, 'libs/service/README.md'), 'utf8');
  const alerts: Alert[] = parse(read('files/alerts.yaml'));
  const dashboards: Record<string, Panel[]> = parse(read('files/dashboards.yaml'));
  const readme = read('README.md');
  const expressions = [
    ...alerts.map(({ alert, expr }) => [alert, expr] as const),
    ...Object.entries(dashboards).flatMap(([name, panels]) =>
      panels.flatMap(({ title, lines }) =>
        Object.values(lines).map((line) => [`${name}, ${title}`, line] as const),
      ),
    ),
  ];
  const unknown = expressions.flatMap(([where, expression]) =>
    [...expression.matchAll(/\broost_[a-z_]+/g)]
      .map(([name]) => name.replace(/_bucket$/, ''))
      .filter((name) => !told.includes(`\`${name}\``))
      .map((name) => `${where}: nobody tells ${name}`),
  );
  const unexplained = alerts
    .filter(({ alert }) => !readme.includes(`\n### ${alert}\n`))
    .map(({ alert }) => `README.md does not say what to do about ${alert}`);
  return [...unknown, ...unexplained];
}

function read(path: string): string {
  return readFileSync(join(CHART, path), 'utf8');
}
