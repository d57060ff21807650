// `npm run image -- [--tag <name:tag>] [--out <file.tar>]`: the image of all services as an OCI archive, where no image
// builder runs. It holds what the Dockerfile puts into it (`tools/image/files.ts`), and this machine's libraries in
// the stead of a base image: for trying out, not for publishing.
// `npm run image -- servers [--out <folder>]`: besides, images of Envoy, NATS, Valkey and PostgreSQL, of the programs that
// the tests use (and a PostgreSQL with pg_dump where this machine has one): what a cluster without a way to the usual
// images needs.
// `node tools/image.ts files <folder>` lays out what is ours: the Dockerfile calls it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { layOut } from './image/files.ts';
import { folderOf, NONROOT, once, programOf, surroundings } from './image/machine.ts';
import { archiveOf, type Image } from './image/oci.ts';
import { packServers } from './image/servers.ts';
import { root } from './steps.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tag: { type: 'string' }, out: { type: 'string' } },
});
const [verb, folder, ...rest] = positionals;

if (verb === 'files' && folder !== undefined && rest.length === 0) await layOut(resolve(folder));
else if (verb === 'servers' && folder === undefined) {
  await packServers(resolve(values.out ?? join(root, '.cache/images')), save);
} else if (verb === undefined) await pack();
else {
  process.stderr.write('say nothing, servers, or: files <folder>\n');
  process.exitCode = 2;
}

async function pack(): Promise<void> {
  const {
    tag: reference = 'roost.local/roost:dev',
    out = join(root, '.cache/images/roost-image.tar'),
  } = values;
  const temporary = mkdtempSync(join(tmpdir(), 'roost-image-'));
  try {
    await layOut(temporary);
    const files = once([
      ...surroundings(),
      ...programOf(process.execPath, '/usr/local/bin/node'),
      ...folderOf(join(temporary, 'app'), '/app'),
    ]);
    save(out, {
      ...{ reference, files, user: `${NONROOT}:${NONROOT}`, entrypoint: ['/usr/local/bin/node'] },
      env: { PATH: '/app/bin:/usr/local/bin', NODE_ENV: 'production' },
      labels: { 'org.opencontainers.image.licenses': 'Apache-2.0' },
    });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function save(out: string, image: Image): void {
  const { archive, digest } = archiveOf(image);
  mkdirSync(dirname(resolve(out)), { recursive: true });
  writeFileSync(out, archive);
  const megabytes = (archive.length / 1e6).toFixed(0);
  process.stdout.write(`${image.reference} ${digest}\n  ${out}: ${megabytes} MB\n`);
}
