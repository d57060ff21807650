import { CannotStart } from '@roost/core/cannot-start';
import type { Domain } from '@roost/core/ids';
import { type Clock, sleep, systemClock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import { nodeCrypto } from '@roost/crypto/node';
import { Database } from '@roost/postgres/database';
import { assertDomain, assertMigrated, migrate } from '@roost/postgres/migrate';
import type { MutualTls } from '@roost/rpc/peer';
import { type RunningServer, serve } from '@roost/rpc/server';
import type { ServiceBinding } from '@roost/rpc/service';
import type { Environment, ListenAddress } from './config.ts';
import { type HealthPages, serveHealth, type State } from './health.ts';
import { createLog, type Level, type Log } from './log.ts';
import { type Metrics, startMetrics } from './metrics.ts';
import { observeCertificates } from './process-metrics.ts';
import { runService } from './run.ts';
import { readSecret } from './secrets.ts';
import { startTelemetry } from './telemetry.ts';
import { type ReadTls, readTlsFiles, type TlsPaths, watchTlsFiles } from './tls-files.ts';

/** What every service process is told. */
export interface ProcessConfig {
  readonly domain: Domain;
  readonly listen: ListenAddress;
  readonly healthListen: ListenAddress;
  readonly tls: TlsPaths;
  readonly database: { readonly url: string; readonly connections: number };
  readonly secrets: string;
  readonly logLevel: Level;
  /** How long the balancer in front gets to hear that this process stops, before it takes no more calls. */
  readonly drainMs: number;
}

/** Something outside of the process that it can do without for a while: NATS, Redis, another service. */
export interface Connection extends AsyncDisposable {
  isThere(): boolean | Promise<boolean>;
  /** Shows another certificate from now on. */
  renew?(tls: MutualTls): void;
}

/** What a service is made of in a process of its own. */
export interface Basics {
  readonly domain: Domain;
  readonly database: Database;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Log;
  readonly tls: MutualTls;
  readonly secret: (purpose: string) => Promise<Uint8Array>;
}

/** A service as a program. */
export interface ServiceProgram<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
> {
  /** As its certificate and the access rules call it. */
  readonly name: string;
  readonly migrations: URL;
  readonly readConfig: (environment: Environment) => Config;
  /** Begins to connect; does not wait for who is away. */
  readonly connect: (config: Config, basics: Basics) => Promise<Connections>;
  readonly open: (
    config: Config,
    basics: Basics,
    connections: Connections,
  ) => Promise<{ readonly bindings: readonly ServiceBinding[]; close(): Promise<void> }>;
}

/** How long open calls get to end once no more are taken. */
const GRACE_MS = 10_000;
/** How long whoever asks how we are waits for what we ask in turn. */
const ASK_MS = 700;
/** How long `check` waits for each of the others. */
const REACH_MS = 5_000;
const VERSION = '0.0.0';

/** What the `main.ts` of a service does. */
export async function runProgram<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
>(
  program: ServiceProgram<Config, Connections>,
  args: readonly string[],
  environment: Environment,
): Promise<void> {
  await runService(
    {
      readConfig: program.readConfig,
      migrate: async ({ database: { url }, domain }) => {
        await using database = new Database({ url }, 1);
        await migrate(database, program.migrations);
        await assertDomain(database, domain, { isFirst: true });
      },
      check: async (config) => await checkProgram(program, config),
      serve: async (config, stop) => await serveProgram(program, config, environment, stop),
    },
    args,
    environment,
  );
}

async function serveProgram<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
>(
  program: ServiceProgram<Config, Connections>,
  config: Config,
  environment: Environment,
  stop: Promise<unknown>,
): Promise<void> {
  const { name } = program;
  const log = createLog(name, config.logLevel);
  // Who counts takes its instruments when it is made: before anything else is.
  await using stack = new AsyncDisposableStack();
  const metrics = stack.use(startMetrics({ service: name, version: VERSION }));
  stack.use(await startTelemetry(name, environment, log));
  const clock = systemClock;
  const self = { domain: config.domain, name };
  const tls = await readTlsFiles(config.tls, self, clock);

  const { url, connections: connectionsMax } = config.database;
  const database = stack.use(new Database({ url }, connectionsMax));
  await assertMigrated(database, program.migrations);
  await assertDomain(database, config.domain, { isFirst: false });
  const basics = basicsOf(config, { database, clock, log, tls });
  const connections = await program.connect(config, basics);
  for (const each of Object.values(connections)) stack.use(each);

  const stopping = new AbortController();
  const state = async (): Promise<State> => await stateOf(database, connections, stopping.signal);
  stack.use(await serveHealth(config.healthListen, pagesOf(state, metrics)));
  const service = await program.open(config, basics, connections);
  const server = await serve({
    ...{ listen: config.listen, tls, callers: { certifiedBy: config.domain }, log },
    bindings: service.bindings,
    health: async () => (await state()).missing.length === 0,
  });
  const current = { tls };
  stack.use(observeCertificates(() => endsOf(current.tls)));
  const watching = watchTlsFiles(
    { paths: config.tls, self, clock, log },
    tls,
    (renewed) => {
      current.tls = renewed;
      server.renew(renewed);
      for (const each of Object.values(connections)) each.renew?.(renewed);
    },
    stopping.signal,
  );
  log.info({ listen: server.address }, 'serving');

  await stop;
  log.info({}, 'stopping');
  stopping.abort();
  await close(service, server, config.drainMs);
  await watching;
}

/** First nobody new is sent here, then nobody is let in, then who is here is asked to go. */
async function close(
  service: { close(): Promise<void> },
  server: RunningServer,
  drainMs: number,
): Promise<void> {
  await sleep(drainMs);
  server.drain();
  await service.close();
  await server.close(GRACE_MS);
}

function basicsOf(
  { domain, secrets }: ProcessConfig,
  parts: Pick<Basics, 'database' | 'clock' | 'log' | 'tls'>,
): Basics {
  const secret = async (purpose: string) => await readSecret(secrets, purpose);
  return { ...parts, domain, crypto: nodeCrypto, secret };
}

function pagesOf(state: () => Promise<State>, metrics: Metrics): HealthPages {
  return { state, metrics: async () => await metrics.page() };
}

function endsOf({ ends }: ReadTls) {
  return [
    { name: 'server' as const, notAfter: ends.server },
    { name: 'ca' as const, notAfter: ends.ca },
  ];
}

/**
 * Without its database a service can do nothing. What else is away is told, but takes nobody out of service: what is
 * accepted meanwhile is kept, and whoever is stored already can be read.
 */
async function stateOf(
  database: Database,
  connections: Readonly<Record<string, Connection>>,
  stopping: AbortSignal,
): Promise<State> {
  if (stopping.aborted) return { missing: ['stopping'], away: [] };
  const answers = database.query({ text: 'SELECT' }).then(
    () => true,
    () => false,
  );
  const [isThere, away] = await Promise.all([soon(answers), awayOf(connections)]);
  return { missing: isThere ? [] : ['database'], away };
}

/** Whoever looks after us waits a moment at most: what does not answer by then is not there. */
async function soon(asked: boolean | Promise<boolean>): Promise<boolean> {
  const patience = new AbortController();
  const late = sleep(ASK_MS, patience.signal).then(() => false);
  try {
    return await Promise.race([asked, late]);
  } finally {
    patience.abort();
  }
}

async function awayOf(connections: Readonly<Record<string, Connection>>): Promise<string[]> {
  const asked = Object.entries(connections).map(async ([name, connection]) => {
    return (await soon(connection.isThere())) ? [] : [name];
  });
  return (await Promise.all(asked)).flat();
}

async function checkProgram<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
>(program: ServiceProgram<Config, Connections>, config: Config): Promise<void> {
  const wrong: string[] = [];
  const look = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      wrong.push(error instanceof CannotStart ? error.message : String(error));
      return undefined;
    }
  };
  const log = createLog(program.name, 'silent');
  const self = { domain: config.domain, name: program.name };
  const tls = await look(() => readTlsFiles(config.tls, self, systemClock));
  await using database = new Database({ url: config.database.url }, 1);
  await look(async () => {
    await database.query({ text: 'SELECT' }).catch((error: unknown) => {
      throw new CannotStart(`ROOST_DATABASE_URL: the database does not answer (${String(error)})`);
    });
    await assertMigrated(database, program.migrations);
    await assertDomain(database, config.domain, { isFirst: false });
  });
  if (tls !== undefined) {
    await look(() =>
      reachAll(program, config, basicsOf(config, { database, clock: systemClock, log, tls })),
    );
  }
  if (wrong.length > 0) throw new CannotStart(wrong.join('\n'));
  process.stdout.write(`${program.name} can serve\n`);
}

async function reachAll<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
>(program: ServiceProgram<Config, Connections>, config: Config, basics: Basics): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const connections = await program.connect(config, basics);
  for (const each of Object.values(connections)) stack.use(each);
  const until = performance.now() + REACH_MS;
  let away = await awayOf(connections);
  while (away.length > 0 && performance.now() < until) {
    await sleep(100);
    away = await awayOf(connections);
  }
  if (away.length === 0) return;
  throw new CannotStart(
    away
      .map(
        (name) =>
          `${name} does not answer: is it running, and are its address and credentials right?`,
      )
      .join('\n'),
  );
}
