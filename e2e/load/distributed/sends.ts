import { sleep } from '@roost/core/time';
import { type Clients, startClients } from '../clients.ts';
import { recordSends } from '../groups.ts';
import { listen } from '../listening.ts';
import { processCpu, round, type Row } from '../measure.ts';
import { storedMessages } from '../queues.ts';
import { type Costs, costsPerThousand, memoryOf, servicesCpu, spentAt } from './spending.ts';
import type { Stage } from './stage.ts';

interface Shape {
  readonly size: number;
  readonly sends: number;
  /** CPU-s of services and of PostgreSQL for each thousand deliveries (design §11). */
  readonly target: readonly [number, number] | undefined;
}

const SHAPES: readonly Shape[] = [
  { size: 2, sends: 2_000, target: [0.6, 0.3] },
  { size: 10, sends: 1_200, target: [0.15, 0.15] },
  { size: 100, sends: 400, target: [0.08, 0.08] },
  { size: 1_000, sends: 50, target: undefined },
];

const IN_FLIGHT = 64;
const WARM = 0.25;
const PER_CONNECTION = 100;
const QUICK = 8;
const ARRIVED_MS = 300;

export interface SendsMeasured {
  readonly rows: readonly Row[];
  /** Sends a second, by the size of their group. */
  readonly rates: ReadonlyMap<number, number>;
}

/** From the clients' TLS to their listeners, through edge, token check, DS, NATS and QS. */
export async function measureSends(stage: Stage): Promise<SendsMeasured> {
  const { bench, site } = stage;
  await using clients = startClients();
  await site.purse.fill(stage.clients.length);
  bench.progress(`${site.replicas} replicas: ${stage.clients.length} listeners`);
  const parts = [stage.clients, PER_CONNECTION, site.purse.paid] as const;
  await using listening = await listen(site, ...parts);
  const rows: Row[] = [];
  const rates = new Map<number, number>();
  for (const shape of SHAPES) {
    const { measured, generator } = await measureShape(stage, { clients, listening }, shape);
    const { size, target } = shape;
    const count = bench.quick ? Math.ceil(shape.sends / QUICK) : shape.sends;
    const deliveries = count * (size - 1);
    rates.set(size, count / measured.seconds);
    const [services, postgres] = [servicesCpu(measured), measured.cpu.postgres].map(
      (seconds) => (seconds / deliveries) * 1_000,
    );
    rows.push(
      {
        what: `group of ${size}, ${IN_FLIGHT} at once, all listening`,
        figure:
          `${round(count / measured.seconds)} sends/s, ${round(deliveries / measured.seconds)} deliveries/s; ` +
          `services + PostgreSQL ${round(services ?? 0)} + ${round(postgres ?? 0)} CPU-s per 1,000`,
        ...(target && {
          target: `${target.join(' + ')} s`,
          met: (services ?? 0) <= target[0] && (postgres ?? 0) <= target[1],
        }),
      },
      {
        what: '  CPU-s per 1,000 deliveries',
        figure: `${costsPerThousand(measured, deliveries)}; clients ${round((generator / deliveries) * 1_000)}`,
      },
    );
  }
  rows.push({ what: 'memory after these, MiB', figure: memoryOf(site) });
  return { rows, rates };
}

async function measureShape(
  stage: Stage,
  parties: { readonly clients: Clients; readonly listening: Clients },
  shape: Shape,
) {
  const { bench, site } = stage;
  const { size } = shape;
  const count = bench.quick ? Math.ceil(shape.sends / QUICK) : shape.sends;
  const warm = Math.ceil(count * WARM);
  await site.purse.fill(count + warm);
  bench.progress(`${site.replicas} replicas: groups of ${size}`);
  await send(stage, { ...parties, size, count: warm });
  const before = processCpu(parties.listening.pid);
  const { measured, sender } = await send(stage, { ...parties, size, count });
  return { measured, generator: sender + processCpu(parties.listening.pid) - before };
}

interface Sending {
  readonly clients: Clients;
  readonly listening: Clients;
  readonly size: number;
  readonly count: number;
}

/** Until everything is stored and has arrived; checked that it is. */
async function send(
  { site, groups }: Stage,
  { clients, listening, size, count }: Sending,
): Promise<{ readonly measured: Costs; readonly sender: number }> {
  const calls = site.purse.paid(await recordSends(groups.get(size) ?? [], count));
  await clients.ask({ do: 'prepare', door: site.door, calls });
  await site.settled();
  const before = await storedMessages(site);
  await sleep(ARRIVED_MS);
  await listening.arrivals();
  const deliveries = count * (size - 1);
  let sender = 0;
  const measured = await spentAt(site, async () => {
    sender = (await clients.call(IN_FLIGHT)).cpuSeconds;
    await site.settled();
    await listening.arrived(deliveries);
  });
  const stored = (await storedMessages(site)) - before;
  if (stored !== deliveries) throw new Error(`${stored} of ${deliveries} messages were stored`);
  return { measured, sender };
}
