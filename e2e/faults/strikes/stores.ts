import { sleep } from '@roost/core/time';
import { Database } from '@roost/postgres/database';
import type { Fault } from '../fault.ts';
import type { Site } from '../site.ts';

const valkey: readonly Fault[] = [
  {
    name: 'valkey stopped',
    about: 'rate buckets are away: tokens are still good once, methods do what their rule says',
    async strike(site) {
      await site.ground.valkey.stop();
      await site.hold(3_000);
      await site.ground.valkey.start();
    },
  },
  {
    name: 'valkey wiped',
    about: 'all rate buckets are forgotten, again and again',
    async strike(site) {
      for (let count = 0; count < 5; count++) {
        await site.ground.valkey.wipe();
        await site.hold(400);
      }
    },
  },
  {
    name: 'valkey frozen',
    about: 'SIGSTOP: it takes connections, and answers nothing',
    async strike(site) {
      site.ground.valkey.freeze();
      await site.hold(5_000);
      site.ground.valkey.thaw();
    },
  },
];

const killed: Fault = {
  name: 'postgres killed',
  about: 'kill -9 of PostgreSQL, and its return',
  isQuick: true,
  async strike(site) {
    await site.ground.postgres.kill();
    await site.hold(2_500);
    await mustNotReady(site, 503);
    await site.ground.postgres.start();
  },
};

/** Whoever stands on what is away says so, and lives. */
async function mustNotReady(site: Site, status: number): Promise<void> {
  for (const process of site.home.processes.values()) {
    const { status: heard, body } = await process.readiness();
    const says = `${process.name} says ${heard} ${body.trim()}`;
    site.promise(heard === status, `who has no PostgreSQL is not ready, and lives: ${says}`);
    const { status: alive } = await process.ask('/livez');
    site.promise(alive === 200, `${process.name} lives: it says ${alive}`);
  }
}

const storm: Fault = {
  name: 'postgres connection storm',
  about: 'somebody takes all connections of PostgreSQL and cuts those of the services',
  async strike(site) {
    const { url } = site.ground.postgres;
    await using killer = new Database({ url }, 1);
    // It is in before the crowd comes.
    await killer.query({ text: 'SELECT' });
    const mine = 'roost-storm';
    const storming = new URL(url);
    storming.searchParams.set('application_name', mine);
    {
      await using crowd = new Database({ url: storming.href }, CONNECTIONS_MAX);
      const all = Array.from({ length: CONNECTIONS_MAX }, () =>
        crowd.query({ text: 'SELECT pg_sleep(5)' }).then(
          () => 'slept',
          () => 'refused',
        ),
      );
      await sleep(1_500);
      await killer.query({
        text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name <> $1 AND pid <> pg_backend_pid()
                  AND backend_type = 'client backend'`,
        values: [mine],
      });
      const answers = await Promise.all(all);
      const refused = answers.filter((each) => each === 'refused').length;
      site.remark(`${answers.length - refused} connections taken`);
    }
  },
};
/** As many as our PostgreSQL has. */
const CONNECTIONS_MAX = 400;

const readOnly: Fault = {
  name: 'postgres read-only',
  about: 'nothing can be written (as on a standby, or a disk that was taken away); reads go on',
  async strike(site) {
    await using database = new Database({ url: site.ground.postgres.url }, 1);
    const set = async (isOn: boolean): Promise<void> => {
      const change = isOn
        ? 'ALTER SYSTEM SET default_transaction_read_only = on'
        : 'ALTER SYSTEM RESET default_transaction_read_only';
      await database.query({ text: change });
      await database.query({ text: 'SELECT pg_reload_conf()' });
    };
    await set(true);
    try {
      await site.hold(4_000);
    } finally {
      await set(false);
    }
  },
};

export const stores: readonly Fault[] = [...valkey, killed, storm, readOnly];
