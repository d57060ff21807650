import { childrenOf, postgresCpu, processCpu, residentBytes, round } from '../measure.ts';
import type { Site } from './site.ts';

/** The processes of a homeserver, as their costs are told apart. */
export const PARTS = ['edge', 'aas', 'as', 'ds', 'qs', 'nats', 'valkey'] as const;
export type Part = (typeof PARTS)[number];
/** PostgreSQL's, by whom it works for: the token check's database apart, its writer and the rest together. */
export type Cost = Part | 'postgres of tokens' | 'postgres';

/** What something took: seconds of the clock, and of CPU for each part. */
export interface Costs {
  readonly seconds: number;
  readonly cpu: Readonly<Record<Cost, number>>;
}

/** Runs work and says what every process spent on it. */
export async function spentAt(site: Site, work: () => Promise<void>): Promise<Costs> {
  const before = await cpuNow(site);
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1_000;
  const after = await cpuNow(site);
  const spent = (cost: Cost): number => after[cost] - before[cost];
  return { seconds, cpu: byCost(spent) };
}

/** The services that hold messages; edge and token check are told apart (design §11). */
export function servicesCpu({ cpu }: Costs): number {
  return cpu.ds + cpu.qs + cpu.as;
}

export function allCpu({ cpu }: Costs): number {
  return Object.values(cpu).reduce((sum, each) => sum + each, 0);
}

/** `edge 0.12, aas 0.08, …` in CPU-s for each thousand. */
export function costsPerThousand({ cpu }: Costs, count: number): string {
  const each = Object.entries(cpu).map(
    ([name, seconds]) => [name, (seconds / count) * 1_000] as const,
  );
  return each.map(([name, seconds]) => `${name} ${round(seconds)}`).join(', ');
}

/** MiB of each part, pages that processes share counted once. */
export function memoryOf(site: Site): string {
  const parts = site.parts();
  const own = PARTS.map((part) => [part, residentBytes(parts[part])] as const);
  const postgres = residentBytes([site.postmaster, ...childrenOf(site.postmaster)]);
  return [...own, ['postgres', postgres] as const]
    .map(([name, bytes]) => `${name} ${round(bytes / 2 ** 20)}`)
    .join(', ');
}

async function cpuNow(site: Site): Promise<Record<Cost, number>> {
  const parts = site.parts();
  const backends = await site.databases.of('aas').query<{ pid: number }>({
    text: 'SELECT pid FROM pg_stat_activity WHERE datname = current_database()',
  });
  const ofTokens = backends.reduce((sum, { pid }) => sum + processCpu(pid), 0);
  const postgres = postgresCpu(site.postmaster) - ofTokens;
  const own = (part: Part): number => parts[part].reduce((sum, pid) => sum + processCpu(pid), 0);
  return byCost((cost) => {
    if (cost === 'postgres of tokens') return ofTokens;
    return cost === 'postgres' ? postgres : own(cost);
  });
}

function byCost(of: (cost: Cost) => number): Record<Cost, number> {
  return {
    ...{ edge: of('edge'), aas: of('aas'), as: of('as'), ds: of('ds'), qs: of('qs') },
    ...{ nats: of('nats'), valkey: of('valkey') },
    ...{ 'postgres of tokens': of('postgres of tokens'), postgres: of('postgres') },
  };
}
