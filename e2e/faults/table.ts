import type { Outage } from './outages.ts';

/** One fault, and how it went. */
export interface Row {
  readonly fault: string;
  /** How often clients heard which refusal. */
  readonly seen: string;
  readonly outage?: Outage | undefined;
  /** What was measured besides. */
  readonly remark: string;
  /** Nothing where all held. */
  readonly violations: readonly string[];
  /** Why it was not tried. */
  readonly leftOut?: string | undefined;
}

const HEAD = ['fault', 'clients saw', 'send', 'arrival', 'verdict'] as const;
/** More of them say nothing more. */
const SHOWN_MAX = 8;

/** The table, and below it every promise that was not kept. */
export function renderTable(rows: readonly Row[]): string {
  const cells = rows.map(cellsOf);
  const widths = HEAD.map((head, at) =>
    Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(' | ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('-|-');
  return [line(HEAD), rule, ...cells.map(line), ...rows.flatMap(troubles)].join('\n');
}

export function isKept({ violations }: Row): boolean {
  return violations.length === 0;
}

function cellsOf(row: Row): string[] {
  const { fault, seen, outage, remark, leftOut } = row;
  if (leftOut !== undefined) return [fault, '', '', '', `left out: ${leftOut}`];
  const verdict = isKept(row) ? 'holds' : 'BROKEN';
  return [
    fault,
    seen === '' ? 'nothing' : seen,
    outage === undefined ? '' : seconds(outage.sent),
    outage === undefined ? '' : seconds(outage.arrived),
    remark === '' ? verdict : `${verdict}: ${remark}`,
  ];
}

function troubles({ fault, violations }: Row): string[] {
  if (violations.length === 0) return [];
  const shown = byRule(violations);
  const more = violations.length - shown.length;
  return [
    ...['', `${fault} broke ${violations.length} promises:`],
    ...shown.map((each) => `  ${each}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** The first ones, and of each rule one at least. */
function byRule(violations: readonly string[]): string[] {
  const ruleOf = (each: string): string => each.split(':')[0] ?? '';
  const isFirst = (each: string, at: number): boolean =>
    violations.findIndex((other) => ruleOf(other) === ruleOf(each)) === at;
  return violations.filter((each, at) => isFirst(each, at) || at < SHOWN_MAX);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
