import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { bindMembers, installGroups, recordSends, settled } from './groups.ts';
import type { House } from './house.ts';
import { listen } from './listening.ts';
import { type Row, round, type Spent, spentOn } from './measure.ts';
import { callAll } from './outgoing.ts';
import type { Bench, Scenario } from './scenario.ts';

/** What listeners that hear nothing cost: memory each, and others' sends. */
export const listeners: Scenario = {
  name: 'listeners',
  about: 'memory of idle listeners, and a send beside them',
  async run(bench) {
    const house = await bench.house();
    // The first ten are members of the group, and do not listen.
    const clients = await bench.queueClients(MEMBERS + bench.listeners);
    const groups = await bench.groups(MEMBERS, 1);
    await bindMembers(house, clients.slice(0, MEMBERS), groups);
    await installGroups(house.edge, groups);
    await settled(house);
    const idle = clients.slice(MEMBERS);
    const send = async (): Promise<Spent> => await measureSends(house, bench);

    await send();
    const without = await send();
    const rows: Row[] = [];
    let withThem: Spent | undefined;
    for (const perConnection of [1, 100]) {
      const some = perConnection === 1 ? idle.slice(0, ALONE_MAX) : idle;
      bench.progress(`${some.length} listeners, ${perConnection} a connection`);
      const before = memory();
      await using _ = await listen(house, some, perConnection);
      const after = memory();
      if (perConnection > 1) withThem = await send();
      rows.push(memoryRow(some.length, perConnection, before, after));
    }
    const costs = [withThem ?? without, without].map(({ node, postgres }) => node + postgres);
    const [ours = 0, bare = 1] = costs;
    const each = (spent: number): string =>
      `${round((spent / (SENDS * TURNS)) * 1_000)} ms CPU a send`;
    const ratio = ours / bare;
    return [
      ...rows,
      {
        what: 'a send beside them, in a group of 10',
        figure: each(ours),
        bare: `without: ${each(bare)}`,
        ...{ ratio, target: '<= 1.1', met: ratio <= 1.1 },
      },
    ];
  },
};

const MEMBERS = 10;
/** One a connection needs a file descriptor each, in both processes. */
const ALONE_MAX = 500;
const SENDS = 40;
const TURNS = 10;
const IN_FLIGHT = 8;
const KIB_MAX = 20;

async function measureSends(house: House, bench: Bench): Promise<Spent> {
  const groups = await bench.groups(MEMBERS, 1);
  const calls = await recordSends(groups, SENDS * TURNS);
  return await spentOn(house.postmaster, async () => {
    await callAll(calls, IN_FLIGHT, (call) => house.edge.unary(call));
    await settled(house);
  });
}

interface Memory {
  readonly resident: number;
  readonly live: number;
}

function memory(): Memory {
  collectGarbage();
  collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, live: heapUsed + external };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function memoryRow(count: number, perConnection: number, before: Memory, after: Memory): Row {
  const kib = (from: number, to: number): number => Math.max(0, to - from) / count / 1_024;
  const resident = kib(before.resident, after.resident);
  const live = kib(before.live, after.live);
  const isJudged = perConnection > 1;
  return {
    what: `${count} listeners, ${perConnection} a connection: memory each`,
    figure: `${round(resident)} KiB resident, of it ${round(live)} KiB live`,
    ...(isJudged ? { target: `<= ${KIB_MAX} KiB`, met: Math.max(resident, live) <= KIB_MAX } : {}),
  };
}
