import { CannotStart } from '@roost/core/cannot-start';
import { sleep, systemClock } from '@roost/core/time';
import { assertDomain, assertMigrated } from '@roost/postgres/migrate';
import { createLog } from './log.ts';
import { openDatabase } from './open-database.ts';
import type { Connection, Means, ProcessConfig, ServiceProgram } from './program.ts';
import { awayOf } from './readiness.ts';
import { readSecret } from './secrets.ts';
import { readTlsFiles } from './tls-files.ts';

/** How long each of the others has to answer. */
const REACH_MS = 5_000;

/** Looks whether a service could serve; throws all that is wrong, a sentence each. */
export async function check<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
>(program: ServiceProgram<Config, Connections>, config: Config): Promise<void> {
  const { domain, secrets } = config;
  const wrong = new Set<string>();
  const look = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      wrong.add(error instanceof CannotStart ? error.message : String(error));
      return undefined;
    }
  };
  const self = { domain, name: program.name };
  const tls = await look(() => readTlsFiles(config.tls, self, systemClock));
  const secret = async (purpose: string) => await readSecret(secrets, purpose);
  for (const purpose of program.secrets) await look(() => secret(purpose));
  await look(() => checkDatabase(program, config));
  if (tls === undefined) wrong.add('without a certificate nobody else was asked: check again');
  else {
    const means = { tls, secret, log: createLog(program.name, 'silent') };
    await look(() => reachAll(program, config, means));
  }
  if (wrong.size > 0) throw new CannotStart([...wrong].join('\n'));
}

async function checkDatabase(
  { migrations }: Pick<ServiceProgram<ProcessConfig, {}>, 'migrations'>,
  { database: { url }, domain }: ProcessConfig,
): Promise<void> {
  await using database = await openDatabase(url, 1);
  await assertMigrated(database, migrations);
  await assertDomain(database, domain, { isFirst: false });
}

async function reachAll<
  Config extends ProcessConfig,
  Connections extends Readonly<Record<string, Connection>>,
>(program: ServiceProgram<Config, Connections>, config: Config, means: Means): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const connections = await program.connect(config, means);
  for (const each of Object.values(connections)) stack.use(each);
  const until = performance.now() + REACH_MS;
  let away = await awayOf(connections);
  while (away.length > 0 && performance.now() < until) {
    await sleep(100);
    away = await awayOf(connections);
  }
  if (away.length === 0) return;
  const sentences = away.map((name) => {
    const why = connections[name]?.why?.();
    const remedy = 'is it running, and are its address and credentials right?';
    return `${name} does not answer${why === undefined ? '' : ` (${why})`}: ${remedy}`;
  });
  throw new CannotStart(sentences.join('\n'));
}
