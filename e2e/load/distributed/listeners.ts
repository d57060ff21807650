import { sleep } from '@roost/core/time';
import { startClients } from '../clients.ts';
import { recordSends } from '../groups.ts';
import { listen } from '../listening.ts';
import { percentile, residentBytes, round, type Row } from '../measure.ts';
import { callAll } from '../outgoing.ts';
import { type QueueClient, registerClients } from '../queues.ts';
import { allCpu, costsPerThousand, type Costs, spentAt } from './spending.ts';
import { recipientsOfPairs, type Stage } from './stage.ts';

const PER_CONNECTION = 100;
/** Each has a connection, here and at Envoy; more than that is for a machine of its own. */
const ALONE_MAX = 5_000;
const SENDS = 200;
const WAKES = 100;
const WAKES_QUICK = 30;
const IN_FLIGHT = 8;
const PAUSE_MS = 8;
const KIB_MAX = 20;
const QUIET_MS = 1_000;

/** What listeners that hear nothing cost in the QS and in Envoy, and those who do something beside them. */
export async function measureListeners(stage: Stage): Promise<Row[]> {
  const { bench, site } = stage;
  const count = bench.listeners;
  bench.progress(`drawing tokens for ${count} listeners`);
  await site.purse.fill(Math.ceil(count * 1.1) + 100);
  bench.progress(`registering ${count} queues`);
  const idle = await registerClients(site, count);
  await measureSends(stage);
  const without = await measureSends(stage);
  const rows: Row[] = [];
  let beside: Costs | undefined;
  for (const perConnection of [1, PER_CONNECTION]) {
    const some = perConnection === 1 ? idle.slice(0, ALONE_MAX) : idle;
    const measured = await measureIdle(stage, some, perConnection);
    rows.push(...measured.rows);
    beside = measured.sends;
  }
  const each = (costs: Costs): number => (allCpu(costs) / SENDS) * 1_000;
  const [ours, bare] = [each(beside ?? without), each(without)];
  const ratio = ours / bare;
  rows.push(
    {
      what: 'a send beside them, in a group of 10',
      figure: `${round(ours)} ms CPU of all processes`,
      bare: `without: ${round(bare)} ms`,
      ...{ ratio, target: '<= 1.1', met: ratio <= 1.1 },
    },
    { what: '  CPU-s per 1,000 sends', figure: costsPerThousand(beside ?? without, SENDS) },
  );
  return rows;
}

async function measureIdle(
  stage: Stage,
  some: readonly QueueClient[],
  perConnection: number,
): Promise<{ readonly rows: Row[]; readonly sends: Costs }> {
  const { bench, site } = stage;
  const { length: count } = some;
  await site.purse.fill(count);
  bench.progress(`${count} listeners, ${perConnection} a connection`);
  const memory = () => {
    const { qs, edge } = site.parts();
    return { qs: residentBytes(qs), edge: residentBytes(edge) };
  };
  const before = memory();
  await using _ = await listen(site, some, perConnection, site.purse.paid);
  await sleep(QUIET_MS);
  const after = memory();
  const [qs, edge] = (['qs', 'edge'] as const).map(
    (part) => Math.max(0, after[part] - before[part]) / count / 1_024,
  );
  const wakes = await measureWakes(stage);
  const sends = await measureSends(stage);
  const isJudged = perConnection > 1;
  const rows: Row[] = [
    {
      what: `${count} listeners, ${perConnection} a connection: memory each`,
      figure: `QS ${round(qs ?? 0)} KiB, Envoy ${round(edge ?? 0)} KiB`,
      ...(isJudged ? { target: `QS <= ${KIB_MAX} KiB`, met: (qs ?? 0) <= KIB_MAX } : {}),
    },
    {
      what: '  one more among them wakes after, p50 (p99)',
      figure: `${round(percentile(wakes, 50))} ms (${round(percentile(wakes, 99))} ms) from the send on`,
    },
  ];
  return { rows, sends };
}

/** From the call of the sender to the arrival at the listener. */
async function measureWakes(stage: Stage): Promise<number[]> {
  const { bench, site, groups } = stage;
  const count = bench.quick ? WAKES_QUICK : WAKES;
  const recipients = recipientsOfPairs(stage).slice(0, 1);
  const pair = (groups.get(2) ?? []).slice(0, 1);
  await site.purse.fill(count + 1);
  await using listening = await listen(site, recipients, 1, site.purse.paid);
  await using sender = startClients();
  const calls = site.purse.paid(await recordSends(pair, count));
  await sender.ask({ do: 'prepare', door: site.door, calls });
  await sleep(QUIET_MS);
  await listening.arrivals();
  const { times } = await sender.call(1, PAUSE_MS);
  await site.settled();
  await sleep(QUIET_MS);
  const arrived = (await listening.arrivals()).times;
  if (arrived.length !== count) throw new Error(`${arrived.length} of ${count} messages arrived`);
  const took = times.map(([began], at) => Number((arrived[at] ?? began) - began) / 1e6);
  return took.slice(Math.floor(count / 5));
}

async function measureSends({ site, groups }: Stage): Promise<Costs> {
  await site.purse.fill(SENDS);
  const calls = await recordSends(groups.get(10) ?? [], SENDS);
  return await spentAt(site, async () => {
    await callAll(calls, IN_FLIGHT, (call) => site.edge.unary(call));
    await site.settled();
  });
}
