import { sleep } from '@roost/core/time';
import { type Clients, startClients } from '../clients.ts';
import { recordSends } from '../groups.ts';
import { listen } from '../listening.ts';
import { percentile, round, type Row } from '../measure.ts';
import { recipientsOfPairs, type Stage } from './stage.ts';

const COUNT = 300;
const COUNT_QUICK = 60;
/** At half load, for so long. */
const SECONDS = 8;
const SECONDS_QUICK = 2;
/** Long enough for everything that follows a message to have ended. */
const PAUSE_MS = 8;
const ARRIVED_MS = 500;

/** One message after the other at an idle site, and at half of what it can take: answered, and arrived. */
export async function measureLatency(stage: Stage, sendsPerSecond: number): Promise<Row[]> {
  const { bench, site } = stage;
  const count = bench.quick ? COUNT_QUICK : COUNT;
  const rate = Math.max(1, sendsPerSecond / 2);
  const paced = Math.ceil(rate * (bench.quick ? SECONDS_QUICK : SECONDS));
  const recipients = recipientsOfPairs(stage);
  await site.purse.fill(count + paced + recipients.length);
  await using listening = await listen(site, recipients, recipients.length, site.purse.paid);
  await using sender = startClients();
  const parties = { stage, sender, listening };

  bench.progress(`${site.replicas} replicas: one message after the other`);
  const committed = await measureCommits(stage, count);
  const alone = await measure(parties, count, async () => await sender.call(1, PAUSE_MS));
  bench.progress(`${site.replicas} replicas: ${round(rate)} messages a second`);
  const half = await measure(parties, paced, async () => await sender.pace(rate));
  const commit = percentile(committed, 50);
  const ratio = percentile(alone.arrived, 50) / commit;
  return [
    {
      what: 'send between two, one after the other: answered, p50 (p99)',
      figure: show(alone.answered),
      ...{ target: 'p50 <= 3 ms', met: percentile(alone.answered, 50) <= 3 },
    },
    {
      what: 'the same until it arrived at a listener',
      figure: show(alone.arrived),
      bare: `one commit ${show(committed)}`,
      ...{ ratio, target: 'p99 <= 15 ms', met: percentile(alone.arrived, 99) <= 15 },
    },
    {
      what: `at half load (${round(rate)} sends/s): answered, p50 (p99)`,
      figure: show(half.answered),
    },
    { what: 'the same until it arrived at a listener', figure: show(half.arrived) },
  ];
}

interface Parties {
  readonly stage: Stage;
  readonly sender: Clients;
  readonly listening: Clients;
}

/** To each pair in turn; what arrives at a pair's listener comes in the order in which it was sent. */
async function measure(
  { stage, sender, listening }: Parties,
  count: number,
  make: () => ReturnType<Clients['call']>,
) {
  const { site, groups } = stage;
  const pairs = groups.get(2) ?? [];
  const calls = site.purse.paid(await recordSends(pairs, count));
  await sender.ask({ do: 'prepare', door: site.door, calls });
  await sleep(ARRIVED_MS);
  await listening.arrivals();
  const { times } = await make();
  await site.settled();
  await sleep(ARRIVED_MS);
  const arrivals = await listening.arrivals();
  if (arrivals.times.length !== count) {
    throw new Error(`${arrivals.times.length} of ${count} messages arrived`);
  }
  const heard = pairs.map((): bigint[] => []);
  for (const [at, time] of arrivals.times.entries()) {
    heard[arrivals.streams[at] ?? 0]?.push(time);
  }
  const inMs = (from: bigint, to: bigint): number => Number(to - from) / 1e6;
  const arrived = times.map(([began], at) => {
    const time = heard[at % pairs.length]?.[Math.floor(at / pairs.length)];
    if (time === undefined) throw new Error('a message came by the stream of another');
    return inMs(began, time);
  });
  const warm = Math.floor(count / 5);
  const answered = times.map(([began, ended]) => inMs(began, ended));
  return { answered: answered.slice(warm), arrived: arrived.slice(warm) };
}

/** One row and one commit of the same PostgreSQL, by the same driver. */
async function measureCommits({ site }: Stage, count: number): Promise<number[]> {
  const database = site.databases.of('ds');
  await database.query({ text: 'CREATE TABLE bare_commits (payload bytea)' });
  const payload = new Uint8Array(512);
  const took: number[] = [];
  for (let at = 0; at < count; at++) {
    await sleep(PAUSE_MS);
    const began = performance.now();
    await database.query({ ...INSERT, values: [payload] });
    took.push(performance.now() - began);
  }
  await database.query({ text: 'DROP TABLE bare_commits' });
  return took.slice(Math.floor(count / 5));
}

/** Prepared once, as the services' statements are. */
const INSERT = {
  name: 'bench_bare_commit',
  text: 'INSERT INTO bare_commits (payload) VALUES ($1)',
};

function show(values: readonly number[]): string {
  return `${round(percentile(values, 50))} ms (${round(percentile(values, 99))} ms)`;
}
