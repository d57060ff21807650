import type { Outgoing } from '@roost/rpc/call';
import { type Clients, startClients } from './clients.ts';
import { perThousand } from './deliveries.ts';
import { bindMembers, installGroups, type MadeGroup, recordSends, settled } from './groups.ts';
import type { House } from './house.ts';
import { round, type Row, type Spent, spentOn } from './measure.ts';
import { callAll } from './outgoing.ts';
import { storedMessages } from './queues.ts';
import type { Bench, Scenario } from './scenario.ts';

/** From the DS's door into the queues: accepted, out of the outbox, over the bus, stored. */
export const sends: Scenario = {
  name: 'sends',
  about: 'DS, outbox, bus and QS together, in process and over gRPC',
  async run(bench) {
    const rows: Row[] = [];
    await using clients = startClients();
    for (const shape of SHAPES) rows.push(...(await measureShape(bench, clients, shape)));
    return rows;
  },
};

interface Shape {
  readonly size: number;
  readonly groups: number;
  readonly sends: number;
  /** What the living peer took, and what design §11 asks for: CPU-s of services and of PostgreSQL. */
  readonly peer: readonly [number, number] | undefined;
  readonly target: readonly [number, number] | undefined;
}

const SHAPES: readonly Shape[] = [
  { size: 2, groups: 64, sends: 2_000, peer: [0.89, 0.85], target: [0.6, 0.3] },
  { size: 10, groups: 16, sends: 1_200, peer: [0.48, 0.54], target: [0.15, 0.15] },
  { size: 100, groups: 4, sends: 400, peer: [0.39, 0.52], target: [0.08, 0.08] },
  { size: 1_000, groups: 1, sends: 50, peer: undefined, target: undefined },
];

/** Requests under way at once. */
const IN_FLIGHT = 64;
/** Of the sends, this part warms up. */
const WARM = 0.2;

async function measureShape(bench: Bench, clients: Clients, shape: Shape): Promise<Row[]> {
  const house = await bench.house();
  const groups = await openGroups(bench, shape);
  const count = bench.quick ? Math.ceil(shape.sends / 8) : shape.sends;
  const deliveries = count * (shape.size - 1);

  bench.progress(`groups of ${shape.size} in process`);
  const warm = await recordSends(groups, Math.ceil(count * WARM));
  await callAll(warm, IN_FLIGHT, (call) => house.edge.unary(call));
  const inProcess = await measureSends(house, groups, count, async (calls) => async () => {
    await callAll(calls, IN_FLIGHT, (call) => house.edge.unary(call));
  });

  bench.progress(`groups of ${shape.size} over gRPC`);
  let clientSeconds = 0;
  const overGrpc = await measureSends(house, groups, count, async (calls) => {
    await clients.ask({ do: 'prepare', address: house.address, calls });
    return async () => {
      clientSeconds = (await clients.call(IN_FLIGHT)).cpuSeconds;
    };
  });
  const line = (what: string, spent: Spent, isJudged: boolean): Row => ({
    what: `group of ${shape.size}, ${what}`,
    figure:
      `${round(count / spent.seconds)} sends/s, ${round(deliveries / spent.seconds)} deliveries/s; ` +
      `CPU ${perThousand(spent, deliveries)} per 1,000`,
    ...(shape.peer && { bare: `living peer ${shape.peer.join(' + ')} s` }),
    ...(isJudged ? judge(shape, spent, deliveries) : {}),
  });
  return [
    line('in process', inProcess, false),
    line(`over gRPC (clients ${round((clientSeconds / count) * 1e6)} us a send)`, overGrpc, true),
  ];
}

function judge({ target }: Shape, spent: Spent, deliveries: number): Partial<Row> {
  if (target === undefined) return {};
  const [node, postgres] = target;
  const met = [spent.node / node, spent.postgres / postgres].every(
    (part) => (part / deliveries) * 1_000 <= 1,
  );
  return { target: `${node} + ${postgres} s`, met };
}

async function openGroups(bench: Bench, { size, groups }: Shape): Promise<readonly MadeGroup[]> {
  const house = await bench.house();
  const clients = await bench.queueClients(Math.min(1_000, size * groups));
  const made = await bench.groups(size, groups);
  await bindMembers(house, clients, made);
  await installGroups(house.edge, made);
  await settled(house);
  return made;
}

/** Measured until everything is stored, and checked that it is. */
async function measureSends(
  house: House,
  groups: readonly MadeGroup[],
  count: number,
  prepare: (calls: readonly Outgoing[]) => Promise<() => Promise<void>>,
): Promise<Spent> {
  const send = await prepare(await recordSends(groups, count));
  await settled(house);
  const before = await storedMessages(house);
  const spent = await spentOn(house.postmaster, async () => {
    await send();
    await settled(house);
  });
  const [size = 0] = groups.map(({ members }) => members.length);
  const stored = (await storedMessages(house)) - before;
  if (stored !== count * (size - 1)) throw new Error(`${stored} messages were stored`);
  return spent;
}
