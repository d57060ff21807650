import { assert } from '@roost/core/assert';
import { connectTo } from '@roost/e2e/door';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import type { Ground } from '@roost/e2e/servers/ground';
import { sleep } from '@roost/core/time';
import { hubKey } from '@roost/ds/testing/house.fixture';
import { domain, type Place } from '../house.ts';
import { Purse } from './purse.ts';
import type { Part } from './spending.ts';

/** A homeserver of separate processes behind an Envoy, and what pays for calls. */
export interface Site extends Place, AsyncDisposable {
  readonly replicas: number;
  readonly purse: Purse;
  readonly postmaster: number;
  readonly parts: () => Readonly<Record<Part, readonly number[]>>;
  /** Waits until all that the DS accepted lies in the queues. */
  readonly settled: () => Promise<void>;
}

/** As far as the token gate lets anybody draw; a bench needs some ten thousand. */
const ALLOWANCE = 1_000_000;
const SETTLED_EVERY_MS = 20;
const SETTLED_MS = 60_000;

export async function openSite(ground: Ground, replicas: number): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(
    await Homeserver.open({
      ...{ domain, replicas, ground: ground.addresses },
      quantities: { general: ALLOWANCE, contact: ALLOWANCE },
      // Groups are made before any hub is told of them.
      secrets: { hub: hubKey },
      env: { ROOST_LOG_LEVEL: 'warn', ROOST_DATABASE_CONNECTIONS: '10' },
    }),
  );
  const purse = await Purse.open(home.door);
  const channel = stack.use(connectTo(home.door));
  const databases = { of: (name: keyof typeof home.databases) => home.databases[name] };
  const parts = () => {
    const { edge = [], as = [], aas = [], ds = [], qs = [] } = home.pids();
    return { edge, as, aas, ds, qs, nats: ground.nats.pids, valkey: pidsOf(ground.valkey) };
  };
  const postmaster = ground.postgres.pid;
  assert(postmaster !== undefined, 'PostgreSQL runs');
  const open = stack.move();
  return {
    ...{ replicas, purse, postmaster, parts, databases },
    door: home.door,
    edge: purse.paying(channel),
    settled: async () => await settled(home),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** A row leaves the outbox when its receiver has it durably. */
async function settled({ databases }: Homeserver): Promise<void> {
  for (const end = Date.now() + SETTLED_MS; ; await sleep(SETTLED_EVERY_MS)) {
    const [waiting] = await databases.ds.query({ text: 'SELECT FROM outbox LIMIT 1' });
    if (waiting === undefined) return;
    if (Date.now() > end) throw new Error('events do not arrive');
  }
}

function pidsOf({ pid }: { readonly pid: number | undefined }): number[] {
  return pid === undefined ? [] : [pid];
}
