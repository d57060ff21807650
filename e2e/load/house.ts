import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeBusAnswer } from '@roost/bus/frames';
import { MemoryBus } from '@roost/bus/memory';
import type { RequestOptions } from '@roost/bus/ports';
import { assert } from '@roost/core/assert';
import type { Uuid } from '@roost/core/ids';
import { systemClock } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { home, hubKey } from '@roost/ds/testing/house.fixture';
import {
  type Databases,
  openDatabases,
  type ServiceName,
  SERVICES,
} from '@roost/homeserver/databases';
import { openServices } from '@roost/homeserver/services';
import { Database } from '@roost/postgres/database';
import { ensureDatabases, startEmbedded } from '@roost/postgres/embedded';
import { localTransport } from '@roost/rpc/local';
import type { Signing, Transport } from '@roost/rpc/call';
import { serve, type TokenGate } from '@roost/rpc/server';
import type { Log } from '@roost/service/log';
import type { Door } from '@roost/e2e/door';

/** What measures a homeserver needs of it, wherever it runs. */
export interface Place {
  readonly databases: { of(name: ServiceName): Pick<Database, 'query'> };
  /** Where clients come in. */
  readonly door: Door;
  /** Calls as clients make them. */
  readonly edge: Transport;
}

/** A whole homeserver in this process over a PostgreSQL of its own, with fsync, and what measures it. */
export interface House extends Place, AsyncDisposable {
  readonly postmaster: number;
  readonly databases: Databases;
  /** For bare counterparts. */
  readonly bare: Database;
  readonly bus: ProbeBus;
  readonly secret: (name: string) => Promise<Uint8Array>;
  readonly gate: TokenGate;
  /** Where clients come in, without the token gate: that is measured by itself. */
  readonly door: Door;
  /** The same door in this process. */
  readonly edge: Transport;
}

export const domain = home;
export const signing: Signing = { crypto: nodeCrypto, clock: systemClock, audience: domain };

/** The bus between DS and QS, looked at from outside: how far the receiver says that it is. */
export class ProbeBus extends MemoryBus {
  readonly marks = new Map<Uuid, bigint>();
  /** When the last answer came: by then what it is about was stored. */
  answeredAt = 0;
  #onAnswer: (() => void) | undefined;

  override async request(partition: number, batch: Uint8Array, options: RequestOptions) {
    const answer = await super.request(partition, batch, options);
    this.answeredAt = performance.now();
    for (const { groupId, mark } of decodeBusAnswer(answer).marks) {
      this.marks.set(groupId.uuid, mark.n);
    }
    this.#onAnswer?.();
    return answer;
  }

  /** Resolves with the next answer. */
  async answered(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('events do not arrive')), ARRIVAL_MS);
      this.#onAnswer = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Waits until the receiver has all events of these groups up to a number each. */
  async reached(ends: ReadonlyMap<Uuid, bigint>): Promise<void> {
    const isThere = (): boolean => [...ends].every(([id, n]) => (this.marks.get(id) ?? 0n) >= n);
    while (!isThere()) await this.answered();
  }
}

const ARRIVAL_MS = 60_000;
const BARE = 'bench';

/** A folder that goes with whoever uses it. PostgreSQL is another user where we are root. */
export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'roost-bench-'));
  chmodSync(path, 0o711);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function openHouse(): Promise<House> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder());
  const cluster = stack.use(
    await startEmbedded({ home: join(folder.path, 'home'), log: () => {} }),
  );
  const configs = await ensureDatabases(cluster, [...SERVICES, BARE]);
  const bareConfig = configs[BARE];
  assert(bareConfig !== undefined, 'there is a database for the bare counterparts');
  const bare = stack.use(new Database(bareConfig, 10));
  const databases = stack.use(await openDatabases(configs));

  const bus = new ProbeBus();
  const secrets = new Map<string, Uint8Array>();
  const secret = async (name: string): Promise<Uint8Array> => {
    // Groups are made before any hub is told of them.
    const drawn = name === 'hub' ? hubKey : nodeCrypto.random(32);
    const known = secrets.get(name) ?? drawn;
    secrets.set(name, known);
    return known;
  };
  const services = stack.use(
    await openServices({
      home: { domain, incarnation: 1, secret },
      ...{ databases, registration: 'open', log: silent, bus },
      quantities: { general: 5_000, contact: 100 },
    }),
  );
  const { bindings, gate } = services;
  const listen = { host: '127.0.0.1', port: 0 };
  const server = stack.use(
    await serve({ listen, bindings, callers: 'edge', gate: async () => {}, log: silent }),
  );
  const open = stack.move();
  return {
    ...{ postmaster: cluster.pid(), databases, bare, bus, secret, gate },
    ...{ door: { address: server.address }, edge: localTransport(bindings, 'edge') },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

const quiet = (): void => undefined;
/** Failures are told: they would falsify what is measured. */
const tell = ({ error }: { readonly error?: unknown }, text: string): void => {
  const why = error instanceof Error ? (error.stack ?? error.message) : '';
  process.stderr.write(`
homeserver: ${text} ${why}
`);
};
export const silent: Log = {
  ...{ debug: quiet, info: quiet, warn: tell, error: tell },
  named: () => silent,
};
