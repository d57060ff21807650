import { readdirSync, readFileSync } from 'node:fs';

/** One line of the table. */
export interface Row {
  readonly what: string;
  readonly figure: string;
  /** The bare counterpart, measured in the same run. */
  readonly bare?: string;
  readonly ratio?: number | undefined;
  readonly target?: string;
  /** Absent where the design sets no target. */
  readonly met?: boolean;
}

/** Seconds of CPU and of the clock. */
export interface Spent {
  readonly seconds: number;
  readonly node: number;
  readonly postgres: number;
}

export const NOTHING_SPENT: Spent = { seconds: 0, node: 0, postgres: 0 };

export function add(a: Spent, b: Spent): Spent {
  return {
    seconds: a.seconds + b.seconds,
    node: a.node + b.node,
    postgres: a.postgres + b.postgres,
  };
}

/** Runs work and says what it took: of this process with all its threads, and of PostgreSQL. */
export async function spentOn(postmaster: number, work: () => unknown): Promise<Spent> {
  const [began, cpu, postgres] = [performance.now(), process.cpuUsage(), postgresCpu(postmaster)];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds: (performance.now() - began) / 1_000,
    node: (user + system) / 1e6,
    postgres: postgresCpu(postmaster) - postgres,
  };
}

/**
 * Runs two works by turns and adds up what each took: what else runs on the machine slows both down.
 * The first turns warm up and are not counted.
 */
export async function byTurns(
  postmaster: number,
  turns: number,
  ours: (turn: number) => Promise<void>,
  bare: (turn: number) => Promise<void>,
): Promise<{ readonly ours: Spent; readonly bare: Spent }> {
  await ours(0);
  await bare(0);
  let total = { ours: NOTHING_SPENT, bare: NOTHING_SPENT };
  for (let turn = 1; turn <= turns; turn++) {
    total = {
      ours: add(total.ours, await spentOn(postmaster, () => ours(turn))),
      bare: add(total.bare, await spentOn(postmaster, () => bare(turn))),
    };
  }
  return total;
}

/** Seconds of CPU that a PostgreSQL and all its processes have used, those that have ended too. */
export function postgresCpu(postmaster: number): number {
  if (postmaster === 0) return 0;
  const ended = statOf(postmaster)?.endedSeconds ?? 0;
  const living = [postmaster, ...childrenOf(postmaster)].map(livingSeconds);
  return ended + living.reduce((sum, each) => sum + each, 0);
}

/** Seconds of CPU that one process has used, with all its threads. */
export function processCpu(pid: number): number {
  return statOf(pid)?.ownSeconds ?? 0;
}

/** Bytes of memory of a process and its children, pages that they share counted once. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryOf(pid), 0);
}

export function childrenOf(parent: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => statOf(pid)?.parent === parent);
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0;
}

/** Three significant digits, with thin groups of thousands. */
export function round(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(value < 1 ? 2 : 3)).toString();
}

export function renderTable(rows: readonly Row[]): string {
  const head = ['', 'measured', 'bare counterpart', 'ratio', 'target', ''];
  const cells = rows.map(({ what, figure, bare = '', ratio, target = '', met }) => [
    ...[what, figure, bare, ratio === undefined ? '' : ratio.toFixed(2), target],
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ]);
  const widths = head.map((_, at) =>
    Math.max(...[head, ...cells].map((row) => row[at]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width));
  return [head, rule, ...cells].map(line).join('\n');
}

/** Ticks of the clock by which the kernel counts. */
const TICKS = 100;

interface Stat {
  readonly parent: number;
  readonly ownSeconds: number;
  /** Of children that have ended. */
  readonly endedSeconds: number;
}

function statOf(pid: number): Stat | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name of the program stands in brackets and may hold anything.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [
    1, 11, 12, 13, 14,
  ].map((at) => fields[at] ?? 0);
  return {
    parent,
    ownSeconds: (user + system) / TICKS,
    endedSeconds: (endedUser + endedSystem) / TICKS,
  };
}

/** In nanoseconds where the kernel tells: ticks of 10 ms are coarse for a dozen processes. */
function livingSeconds(pid: number): number {
  const [nanoseconds] = (read(`/proc/${pid}/schedstat`) ?? '').split(' ').map(Number);
  if (nanoseconds !== undefined && nanoseconds > 0) return nanoseconds / 1e9;
  return statOf(pid)?.ownSeconds ?? 0;
}

function memoryOf(pid: number): number {
  const shared = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '');
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '');
  return Number((shared ?? resident)?.[1] ?? 0) * 1024;
}

/** `undefined` where the process has ended, or is not ours to look at. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
