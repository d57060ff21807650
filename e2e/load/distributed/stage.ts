import { bindMembers, installGroups, type MadeGroup } from '../groups.ts';
import { type QueueClient, registerClients } from '../queues.ts';
import type { Site } from './site.ts';

/** What scenarios of a distributed bench are given. */
export interface DistributedBench {
  readonly quick: boolean;
  readonly listeners: number;
  readonly progress: (text: string) => void;
  readonly groups: (size: number, count: number) => Promise<readonly MadeGroup[]>;
}

/** A site with queues and groups in it. */
export interface Stage {
  readonly bench: DistributedBench;
  readonly site: Site;
  readonly clients: readonly QueueClient[];
  /** By size. */
  readonly groups: ReadonlyMap<number, readonly MadeGroup[]>;
}

/** So many groups of each size. */
export const GROUPS: readonly (readonly [size: number, count: number])[] = [
  [2, 64],
  [10, 16],
  [100, 4],
  [1_000, 1],
];
const CLIENTS = 1_000;
const CLIENTS_QUICK = 200;
/** Registration, handles and groups take about three for each client. */
const TOKENS_EACH = 4;

/**
 * Registers queues and tells the hub of groups, through the edge and paid for. Handles go round over the
 * clients, the pairs' first: the second of the n-th pair is the client 2n + 1.
 */
export async function setStage(bench: DistributedBench, site: Site): Promise<Stage> {
  bench.progress('drawing tokens');
  const queues = bench.quick ? CLIENTS_QUICK : CLIENTS;
  await site.purse.fill(TOKENS_EACH * queues);
  bench.progress(`registering ${queues} queues`);
  const clients = await registerClients(site, queues);
  const groups = new Map<number, readonly MadeGroup[]>();
  for (const [size, count] of GROUPS) groups.set(size, await bench.groups(size, count));
  const all = [...groups.values()].flat();
  bench.progress(`telling the hub of ${all.length} groups`);
  await bindMembers(site, clients, all);
  await installGroups(site.edge, all);
  await site.settled();
  return { bench, site, clients, groups };
}

/** Who hears what the founders of pairs send: the n-th of them what goes to the n-th pair. */
export function recipientsOfPairs({ clients, groups }: Stage): QueueClient[] {
  return (groups.get(2) ?? []).flatMap((_, at) => clients[2 * at + 1] ?? []);
}
