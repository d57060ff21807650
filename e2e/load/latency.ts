import { statement } from '@roost/postgres/statement';
import { startClients } from './clients.ts';
import { installGroups, bindMembers, recordSends, settled } from './groups.ts';
import type { House } from './house.ts';
import { listen } from './listening.ts';
import { percentile, round, type Row } from './measure.ts';
import type { QueueClient } from './queues.ts';
import type { Bench, Scenario } from './scenario.ts';

/** How long one message takes where nothing else is going on. */
export const latency: Scenario = {
  name: 'latency',
  about: 'one message at an idle homeserver: stored, answered, arrived',
  async run(bench) {
    const house = await bench.house();
    const clients = await bench.queueClients(2);
    const groups = await bench.groups(2, 1);
    await bindMembers(house, clients, groups);
    await installGroups(house.edge, groups);
    await settled(house);

    bench.progress('until stored');
    const count = bench.quick ? COUNT_QUICK : COUNT;
    const { stored, committed } = await measureStored(house, await recordSends(groups, count));
    bench.progress('over gRPC, to a listener');
    const wire = await measureWire(bench, clients[1]);
    const ratio = percentile(stored, 50) / percentile(committed, 50);
    const rows: Row[] = [
      {
        what: 'send until stored in the queue, p50 (p99)',
        figure: `${ms(stored, 50)} (${ms(stored, 99)})`,
        bare: `one commit ${ms(committed, 50)} (${ms(committed, 99)})`,
        ...{ ratio, target: '<= 4', met: ratio <= 4 },
      },
      {
        what: 'send over gRPC, one after the other, p50 (p99)',
        figure: `${ms(wire.answered, 50)} (${ms(wire.answered, 99)})`,
        ...{ target: 'p50 <= 3 ms', met: percentile(wire.answered, 50) <= 3 },
      },
      {
        what: 'send until it arrived at a listener, p50 (p99)',
        figure: `${ms(wire.arrived, 50)} (${ms(wire.arrived, 99)})`,
        ...{ target: 'p99 <= 15 ms', met: percentile(wire.arrived, 99) <= 15 },
      },
    ];
    return rows;
  },
};

const COUNT = 300;
const COUNT_QUICK = 60;
/** Long enough for everything that follows a message to have ended. */
const PAUSE_MS = 8;

/** By turns with commits of one row: what else runs on the machine slows down both. */
async function measureStored(house: House, calls: Awaited<ReturnType<typeof recordSends>>) {
  await house.bare.query({ text: 'CREATE TABLE bare_commits (payload bytea)' });
  const [stored, committed]: [number[], number[]] = [[], []];
  const payload = new Uint8Array(512);
  for (const call of calls) {
    await pause();
    const began = performance.now();
    house.bus.answeredAt = 0;
    const isStored = house.bus.answered();
    await Promise.all([house.edge.unary(call), isStored]);
    stored.push(house.bus.answeredAt - began);
    await pause();
    const before = performance.now();
    await insertOne(house.bare, payload);
    committed.push(performance.now() - before);
  }
  await house.bare.query({ text: 'DROP TABLE bare_commits' });
  const warm = Math.floor(calls.length / 5);
  return { stored: stored.slice(warm), committed: committed.slice(warm) };
}

async function measureWire(bench: Bench, recipient: QueueClient | undefined) {
  if (recipient === undefined) throw new Error('somebody listens');
  const house = await bench.house();
  await using listener = await listen(house, [recipient], 1);
  await using sender = startClients();
  const count = bench.quick ? COUNT_QUICK : COUNT;
  const calls = await recordSends(await bench.groups(2, 1), count);
  await sender.ask({ do: 'prepare', door: house.door, calls });
  // What lay in the queue before has arrived by now.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await listener.arrivals();
  const { times } = await sender.call(1, PAUSE_MS);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const arrivals = await listener.arrivals();
  if (arrivals.times.length !== count) {
    throw new Error(`${arrivals.times.length} of ${count} messages arrived`);
  }
  const warm = Math.floor(count / 5);
  const inMs = (from: bigint, to: bigint): number => Number(to - from) / 1e6;
  return {
    answered: times.slice(warm).map(([began, answered]) => inMs(began, answered)),
    arrived: times.map(([began], at) => inMs(began, arrivals.times[at] ?? began)).slice(warm),
  };
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

function ms(values: readonly number[], percent: number): string {
  return `${round(percentile(values, percent))} ms`;
}

const insertOne = statement<[payload: Uint8Array], never>(
  'bench_insert_commit',
  'INSERT INTO bare_commits (payload) VALUES ($1)',
);
