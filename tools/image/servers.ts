import { mkdtempSync, rmSync } from 'node:fs';
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
  plain('postgres', [...shell, ...tools, ...(await postgres())], POSTGRES, 'postgres');
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
