import { sleep } from '@roost/core/time';
import type { Outgoing } from '@roost/rpc/call';
import { type Clients, startClients } from './clients.ts';
import { perThousand } from './deliveries.ts';
import { bindMembers, installGroups, type MadeGroup, recordSends, settled } from './groups.ts';
import type { House } from './house.ts';
import { listen } from './listening.ts';
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
/** Before each measurement, so many sends more than a part of it warm up. */
const WARM = 0.25;
const PER_CONNECTION = 100;

/** A way to send: makes ready for the calls, then gives what makes them. */
type Way = (calls: readonly Outgoing[]) => Promise<() => Promise<void>>;

async function measureShape(bench: Bench, clients: Clients, shape: Shape): Promise<Row[]> {
  const house = await bench.house();
  const groups = await openGroups(bench, shape);
  const count = bench.quick ? Math.ceil(shape.sends / 8) : shape.sends;
  const each = shape.size - 1;
  const local =
    (inFlight: number): Way =>
    async (calls) =>
    async () =>
      await callAll(calls, inFlight, (call) => house.edge.unary(call));
  let clientSeconds = 0;
  const grpc: Way = async (calls) => {
    await clients.ask({ do: 'prepare', door: house.door, calls });
    return async () => {
      clientSeconds = (await clients.call(IN_FLIGHT)).cpuSeconds;
    };
  };
  const line = async (what: string, some: number, way: Way, listening?: Clients): Promise<Row> => {
    bench.progress(`groups of ${shape.size}, ${what}`);
    await measureSends(house, groups, Math.ceil(some * WARM), { way, listening });
    const spent = await measureSends(house, groups, some, { way, listening });
    return {
      what: `group of ${shape.size}, ${what}`,
      figure:
        `${round(some / spent.seconds)} sends/s, ${round((some * each) / spent.seconds)} deliveries/s; ` +
        `CPU ${perThousand(spent, some * each)} per 1,000`,
      ...(shape.peer && { bare: `living peer ${shape.peer.join(' + ')} s` }),
      ...(listening && judge(shape, spent, some * each)),
    };
  };
  const rows = [
    await line('in process, one by one', Math.ceil(count / 8), local(1)),
    await line(`in process, ${IN_FLIGHT} at once`, count, local(IN_FLIGHT)),
    await line(`over gRPC, ${IN_FLIGHT} at once`, count, grpc),
  ];
  await using listening = await listen(house, await queuesOf(bench, shape), PER_CONNECTION);
  rows.push(await line('over gRPC, all listening', count, grpc, listening));
  bench.progress(
    `groups of ${shape.size}: clients took ${round((clientSeconds / count) * 1e6)} us a send`,
  );
  return rows;
}

function judge({ target }: Shape, spent: Spent, deliveries: number): Partial<Row> {
  if (target === undefined) return {};
  const [node, postgres] = target;
  const met = [spent.node / node, spent.postgres / postgres].every(
    (part) => (part / deliveries) * 1_000 <= 1,
  );
  return { target: `${node} + ${postgres} s`, met };
}

async function queuesOf(bench: Bench, { size, groups }: Shape) {
  return await bench.queueClients(Math.min(1_000, size * groups));
}

async function openGroups(bench: Bench, shape: Shape): Promise<readonly MadeGroup[]> {
  const house = await bench.house();
  const made = await bench.groups(shape.size, shape.groups);
  await bindMembers(house, await queuesOf(bench, shape), made);
  await installGroups(house.edge, made);
  await settled(house);
  return made;
}

/** Until everything is stored and, where its recipients listen, has arrived; checked that it is. */
async function measureSends(
  house: House,
  groups: readonly MadeGroup[],
  count: number,
  { way, listening }: { readonly way: Way; readonly listening: Clients | undefined },
): Promise<Spent> {
  const send = await way(await recordSends(groups, count));
  await settled(house);
  const before = await storedMessages(house);
  const [size = 0] = groups.map(({ members }) => members.length);
  const deliveries = count * (size - 1);
  // What came before has been read by now, but for what is on its way.
  if (listening !== undefined) await sleep(ARRIVED_MS);
  await listening?.arrivals();
  const spent = await spentOn(house.postmaster, async () => {
    await send();
    await settled(house);
    await listening?.arrived(deliveries);
  });
  const stored = (await storedMessages(house)) - before;
  if (stored !== deliveries) throw new Error(`${stored} of ${deliveries} messages were stored`);
  return spent;
}

const ARRIVED_MS = 300;
