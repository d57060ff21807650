import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CannotStart } from '@roost/core/cannot-start';
import { errorCode } from '@roost/core/error-code';
import type { Environment } from '@roost/service/config';
import { Misused } from '@roost/service/run';
import { SERVICES, type ServiceName } from './place.ts';

/** Where the database of each service is: `as=postgres://…`, or a variable of the environment. */
export function databasesOf(
  given: readonly string[],
  environment: Environment,
): ReadonlyMap<ServiceName, URL> {
  const found = new Map<ServiceName, URL>();
  const add = (service: ServiceName, url: string, from: string): void => {
    if (!URL.canParse(url) || !/^postgres(ql)?:/.test(url)) {
      throw new Misused(`${from}: give postgres://user:password@host:port/database`);
    }
    found.set(service, new URL(url));
  };
  for (const service of SERVICES) {
    const variable = `ROOSTCTL_DATABASE_${service.toUpperCase().replaceAll('-', '_')}`;
    const url = environment[variable];
    if (url !== undefined && url !== '') add(service, url, variable);
  }
  for (const each of given) {
    const [name, ...rest] = each.split('=');
    const service = SERVICES.find((known) => known === name);
    if (service === undefined) {
      throw new Misused(`--database: there is no service "${name}", only ${SERVICES.join(', ')}`);
    }
    add(service, rest.join('='), `--database ${service}`);
  }
  return found;
}

/**
 * Dumps the databases by PostgreSQL's own `pg_dump`, all begun at once, so that their moments lie as close
 * to each other as can be: what lies between them is found by numbers and marks after a restore.
 */
export async function dumpAll(
  databases: ReadonlyMap<ServiceName, URL>,
  target: string,
  environment: Environment,
): Promise<readonly string[]> {
  await mkdir(target, { mode: 0o700 }).catch((error: unknown) => {
    throw new CannotStart(`--out ${target} cannot be made (${errorCode(error) ?? String(error)})`);
  });
  const files = await Promise.all(
    [...databases].map(async ([service, url]) => {
      const file = `${service}.dump`;
      await dump(service, join(target, file), { ...environment, ...variablesOf(url) });
      return file;
    }),
  );
  const note = { version: 1, takenAtMs: Date.now(), files };
  await writeFile(join(target, 'dumps.json'), `${JSON.stringify(note, undefined, 2)}\n`, {
    ...{ mode: 0o600, flush: true },
  });
  return files;
}

async function dump(service: ServiceName, file: string, environment: Environment): Promise<void> {
  const child = spawn('pg_dump', ['--format=custom', '--no-owner', `--file=${file}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // The password is not on the command line, which everybody on the machine can read.
    env: environment,
  });
  const [said, [status]] = await Promise.all([text(child.stderr), once(child, 'close')]).catch(
    (error: unknown) => {
      const isMissing = errorCode(error) === 'ENOENT';
      throw new CannotStart(
        isMissing
          ? 'there is no pg_dump on this machine: install the client of PostgreSQL, as new as your server'
          : `pg_dump cannot be run (${String(error)})`,
      );
    },
  );
  if (status !== 0) {
    const why = said.trim().split('\n').join('; ');
    throw new CannotStart(`the database of ${service} was not dumped: ${why}`);
  }
}

function variablesOf(url: URL): Record<string, string> {
  const told: Record<string, string> = {
    PGHOST:
      url.searchParams.get('host') ?? decodeURIComponent(url.hostname.replaceAll(/[[\]]/g, '')),
    PGPORT: url.port,
    PGUSER: decodeURIComponent(url.username),
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: decodeURIComponent(url.pathname.slice(1)),
    PGSSLMODE: url.searchParams.get('sslmode') ?? '',
    PGSSLROOTCERT: url.searchParams.get('sslrootcert') ?? '',
  };
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ''));
}
