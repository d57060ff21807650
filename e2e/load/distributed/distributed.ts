import { Ground } from '@roost/e2e/servers/ground';
import { Run } from '@roost/e2e/servers/run';
import type { Row } from '../measure.ts';
import { measureBare } from './bare.ts';
import { measureGate } from './gate.ts';
import { measureLatency } from './latency.ts';
import { measureListeners } from './listeners.ts';
import { measureSends } from './sends.ts';
import { openSite } from './site.ts';
import { type DistributedBench, setStage, type Stage } from './stage.ts';

/** What is measured of a distributed homeserver, by the name to choose it by. */
export const DISTRIBUTED = [
  { name: 'bare', about: 'an echo through an Envoy with TLS; a request and its reply over NATS' },
  { name: 'sends', about: 'sends and deliveries a second, and what each process spends on them' },
  { name: 'latency', about: 'answered and arrived, one after the other and at half load' },
  { name: 'gate', about: 'token checks through Envoy and ext_authz' },
  {
    name: 'listeners',
    about: 'idle listeners through Envoy: memory, time to wake, a send beside them',
  },
] as const;
type Name = (typeof DISTRIBUTED)[number]['name'];

/**
 * Separate processes of every service on a PostgreSQL with fsync, a NATS of three and a Valkey, behind Envoy with
 * TLS and token check; once for each number of replicas. Token check and listeners are measured with the last.
 */
export async function measureDistributed(
  bench: DistributedBench,
  only: readonly string[],
  replicas: readonly number[],
): Promise<Row[]> {
  const wants = (name: Name): boolean => only.length === 0 || only.includes(name);
  await using stack = new AsyncDisposableStack();
  stack.use(Run.open());
  bench.progress('starting PostgreSQL, NATS and Valkey');
  const ground = stack.use(await Ground.open({ settings: DURABLE }));
  ground.share();
  const rows: Row[] = [];
  if (wants('bare')) rows.push(title('bare'), ...indented(await measureBare(bench, ground)));
  for (const [at, count] of replicas.entries()) {
    const isLast = at === replicas.length - 1;
    rows.push(...(await measureSite({ bench, ground, wants }, count, isLast)));
  }
  return rows;
}

/** As an operator runs it. */
const DURABLE = ['fsync=on', 'full_page_writes=on'];
/** Where nobody measured how much it can take, a pace that any machine can. */
const RATE = 200;

interface Parts {
  readonly bench: DistributedBench;
  readonly ground: Ground;
  readonly wants: (name: Name) => boolean;
}

async function measureSite(
  { bench, ground, wants }: Parts,
  replicas: number,
  isLast: boolean,
): Promise<Row[]> {
  const wanted = (['sends', 'latency'] as const).filter(wants);
  const beside = isLast ? (['gate', 'listeners'] as const).filter(wants) : [];
  if (wanted.length + beside.length === 0) return [];
  bench.progress(`starting a homeserver, ${replicas} of each service`);
  await using site = await openSite(ground, replicas);
  const stage = await setStage(bench, site);
  const rows: Row[] = [];
  const add = (name: Name, some: readonly Row[]): void => {
    rows.push(title(`${name}, ${replicas} of each service`), ...indented(some));
  };
  let rate: number | undefined;
  if (wants('sends')) {
    const { rows: some, rates } = await measureSends(stage);
    rate = rates.get(2);
    add('sends', some);
  }
  if (wants('latency')) add('latency', await measureLatency(stage, rate ?? RATE));
  for (const name of beside) add(name, await OTHERS[name](stage));
  return rows;
}

const OTHERS: Readonly<Record<'gate' | 'listeners', (stage: Stage) => Promise<Row[]>>> = {
  gate: measureGate,
  listeners: measureListeners,
};

function title(what: string): Row {
  return { what, figure: '' };
}

function indented(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({ ...row, what: `  ${row.what}` }));
}
