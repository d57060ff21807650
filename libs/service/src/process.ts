import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import { sleep, systemClock } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { Database } from '@roost/postgres/database';
import { assertDomain, assertMigrated, migrate } from '@roost/postgres/migrate';
import type { MutualTls } from '@roost/rpc/peer';
import { type RunningServer, serve } from '@roost/rpc/server';
import { check } from './check.ts';
import type { Environment } from './config.ts';
import { serveHealth } from './health.ts';
import { createLog, type Log } from './log.ts';
import { startMetrics } from './metrics.ts';
import { observeCertificates } from './process-metrics.ts';
import { openDatabase } from './open-database.ts';
import type { Connection, OpenService, ProcessConfig, ServiceProgram } from './program.ts';
import { Readiness } from './readiness.ts';
import { runService } from './run.ts';
import { readSecret } from './secrets.ts';
import { startTelemetry } from './telemetry.ts';
import { type ReadTls, readTlsFiles, watchTlsFiles } from './tls-files.ts';

export type { Connection, ServiceProgram } from './program.ts';

/** How long open calls get to end once no more are taken. */
const GRACE_MS = 10_000;
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
        await using database = await openDatabase(url, 1);
        await migrate(database, program.migrations);
        await assertDomain(database, domain, { isFirst: true });
      },
      check: async (config) => {
        await check(program, config);
        process.stdout.write(`${program.name} can serve\n`);
      },
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

  // One is kept for those who ask how this process is doing: behind work it would answer late.
  const { url, connections: connectionsMax } = config.database;
  const database = stack.use(await openDatabase(url, connectionsMax - 1));
  const probe = stack.use(new Database({ url }, 1));
  await assertMigrated(database, program.migrations);
  await assertDomain(database, config.domain, { isFirst: false });
  const secret = async (purpose: string) => await readSecret(config.secrets, purpose);
  const { domain, incarnation } = config;
  const basics = { domain, incarnation, database, clock, crypto: nodeCrypto, log, tls, secret };
  const connections = await program.connect(config, basics);
  for (const each of Object.values(connections)) stack.use(each);

  const readiness = new Readiness(probe, connections);
  const state = async () => await readiness.state();
  stack.use(await serveHealth(config.healthListen, { state, metrics: () => metrics.page() }));
  const service = await program.open(config, basics, connections);
  const closing = stack.adopt(new AbortController(), (controller) => controller.abort());
  const server = await listen(config, service, { tls, log, readiness });
  readiness.begin();
  const current = { tls };
  stack.use(observeCertificates(() => endsOf(current.tls)));
  const renew = (renewed: ReadTls): void => {
    current.tls = renewed;
    server.renew(renewed);
    for (const each of Object.values(connections)) each.renew?.(renewed);
  };
  const watched = { paths: config.tls, self, clock, log };
  const watching = watchTlsFiles(watched, tls, renew, closing.signal);
  log.info({ listen: server.address }, 'serving');

  await stop;
  log.info({}, 'stopping');
  readiness.stop();
  closing.abort();
  await close(service, server, config.drainMs);
  await watching;
  log.info({}, 'stopped');
}

async function listen(
  { listen: address, domain }: ProcessConfig,
  service: OpenService,
  { tls, log, readiness }: { tls: MutualTls; log: Log; readiness: Readiness },
): Promise<RunningServer> {
  try {
    return await serve({
      ...{ listen: address, tls, callers: { certifiedBy: domain }, log },
      bindings: service.bindings,
      health: async () => await readiness.isReady(),
    });
  } catch (error) {
    await service.close();
    const { host, port } = address;
    throw new CannotStart(
      `ROOST_LISTEN ${host}:${port} cannot be listened on (${errorCode(error) ?? String(error)})`,
      { cause: error },
    );
  }
}

/** First nobody new is sent here, then nobody is let in, then who is here goes, and the work behind ends last. */
async function close(service: OpenService, server: RunningServer, drainMs: number): Promise<void> {
  await sleep(drainMs);
  server.drain();
  await service.drain?.();
  await server.close(GRACE_MS);
  await service.close();
}

function endsOf({ ends }: ReadTls) {
  return [
    { name: 'server' as const, notAfter: ends.server },
    { name: 'ca' as const, notAfter: ends.ca },
  ];
}
