import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SECOND_MS, sleep } from '@roost/core/time';
import { Run } from '@roost/e2e/servers/run';
import { findRunner } from '@roost/postgres/binaries';
import { Database } from '@roost/postgres/database';
import type { Fault } from '../fault.ts';
import { within } from '../load.ts';
import type { Site } from '../site.ts';

const MEGABYTES = 64;
const FULL_MS = 25 * SECOND_MS;

const full: Fault = {
  name: 'disk full',
  about: `the tables of the DS lie on a disk of ${MEGABYTES} MB, which somebody fills`,
  whyNot: () =>
    process.platform === 'linux' && process.getuid?.() === 0
      ? undefined
      : 'only root can mount a disk that is small enough to be filled',
  async strike(site) {
    await using all = new AsyncDisposableStack();
    const disk = Run.current().makeFolder('disk');
    const size = `size=${MEGABYTES}m,mode=700`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', size, 'tmpfs', disk]);
    all.defer(() => void execFileSync('umount', ['-l', disk]));
    const { ids } = findRunner();
    if (ids !== undefined) chownSync(disk, ids.uid, ids.gid);
    const database = all.use(new Database({ url: site.ground.postgres.url }, 1));
    const tell = async (text: string): Promise<void> => void (await database.query({ text }));
    await tell(`CREATE TABLESPACE small LOCATION '${disk}'`);
    all.defer(() => tell('DROP TABLESPACE small'));
    await move(site, tell, 'small');
    all.defer(() => move(site, tell, 'pg_default'));

    const before = site.log.errorCount;
    const filler = join(disk, 'filler');
    for (const step of [1 << 20, 4 << 10]) fill(filler, step);
    const isFelt = await within(FULL_MS, () => site.log.errorCount > before + 3);
    site.promise(isFelt, 'a full disk is felt, else it was not full');
    await site.hold(3_000);
    rmSync(filler);
    await site.hold(6_000);
  },
};

/** Takes the tables of the DS to another disk; nobody may be at them meanwhile. */
async function move(site: Site, tell: (text: string) => Promise<void>, to: string): Promise<void> {
  const both = site.home.of('ds');
  await Promise.all(both.map((each) => each.kill()));
  const change = `ALTER DATABASE "${site.home.databases.ds.name}" SET TABLESPACE ${to}`;
  for (let attempt = 0; ; attempt++) {
    try {
      await tell(change);
      break;
    } catch (error) {
      // PostgreSQL notices after a moment that they are gone.
      if (attempt === 40) throw error;
      await sleep(250);
    }
  }
  await Promise.all(both.map((each) => each.start()));
}

function fill(path: string, step: number): void {
  const block = new Uint8Array(step);
  try {
    for (;;) appendFileSync(path, block);
  } catch {
    // That was all.
  }
}

export const disks: readonly Fault[] = [full];
