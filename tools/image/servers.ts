import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { fetchServers } from '../../e2e/src/servers/fetch.ts';
import { findBinaries, findRunner } from '../../libs/postgres/src/binaries.ts';
import { folderOf, NONROOT, once, programOf, surroundings } from './machine.ts';
import type { Image } from './oci.ts';
import type { Entry } from './tar.ts';

/** The user `postgres` of the usual Alpine image: initdb wants to know whom it runs as. */
const POSTGRES = 70;

/** Images of the servers that a homeserver stands on, each with its usual commands on the PATH. */
export async function packServers(
  folder: string,
  save: (out: string, image: Image) => void,
): Promise<void> {
  const found = await fetchServers();
  const plain = (name: string, files: readonly Entry[], id = NONROOT, user = 'nonroot'): void => {
    save(join(folder, `${name}-image.tar`), {
      reference: `roost.local/${name}:dev`,
      files: once([...surroundings(user, id), ...files]),
      user: `${id}:${id}`,
      entrypoint: [],
      env: { PATH: '/usr/local/pgsql/bin:/usr/local/bin:/bin' },
      labels: {},
    });
  };
  plain('envoy', programOf(found.envoy.path, '/usr/local/bin/envoy'));
  plain('nats', programOf(found['nats-server'].path, '/usr/local/bin/nats-server'));
  const shell = programOf('/bin/sh', '/bin/sh');
  const valkey = programOf(found['valkey-server'].path, '/usr/local/bin/valkey-server');
  plain('valkey', [...shell, ...valkey]);
  const tools = ['mv', 'rm', 'touch'].flatMap((name) => programOf(`/bin/${name}`, `/bin/${name}`));
  const database = wholePostgres() ?? (await postgres());
  plain('postgres', [...shell, ...tools, ...database], POSTGRES, 'postgres');
}

const PACKAGED = '/usr/lib/postgresql';
/** Compiled and for compilers: large, and it runs without. */
const LEFT_OUT = /\/lib\/(bitcode|pgxs|llvmjit)/;

/**
 * That of a Debian machine, where it has the client beside the server: the tests' own has no pg_dump, by which backups
 * are made. `undefined` where there is none.
 */
function wholePostgres(): Entry[] | undefined {
  const versions = existsSync(PACKAGED) ? readdirSync(PACKAGED).map(Number) : [];
  const whole = versions.filter((version) =>
    ['postgres', 'initdb', 'pg_dump', 'pg_restore'].every((name) =>
      existsSync(join(PACKAGED, String(version), 'bin', name)),
    ),
  );
  if (whole.length === 0) return undefined;
  const version = String(Math.max(...whole));
  const folders = [join(PACKAGED, version), join('/usr/share/postgresql', version)];
  return [
    ...[...folders, '/usr/share/zoneinfo'].flatMap((folder) => folderOf(folder, folder)),
    { path: 'usr/local/pgsql/bin', mode: 0o777, link: join(PACKAGED, version, 'bin') },
  ].filter(({ path }) => !LEFT_OUT.test(`/${path}`));
}

async function postgres(): Promise<Entry[]> {
  const home = mkdtempSync(join(tmpdir(), 'roost-postgres-'));
  try {
    const { postgres: program } = await findBinaries(findRunner(), home);
    return folderOf(dirname(dirname(program)), '/usr/local/pgsql');
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
