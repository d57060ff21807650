// What the other tests with real servers stand on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { Database } from '@roost/postgres/database';
import { fetchServers } from '../src/servers/fetch.ts';
import { Postgres } from '../src/servers/postgres.ts';
import { Run } from '../src/servers/run.ts';
import { Valkey } from '../src/servers/valkey.ts';

const STARTER = join(import.meta.dirname, 'starter.fixture.ts');

/** Whether it runs: one that has ended, and of which nobody took note, does not. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('the servers are found without an installation once they are there', async () => {
  const said: string[] = [];
  const found = await fetchServers((line) => said.push(line));
  expect(Object.values(found).map(({ version }) => /^\d+\.\d+\.\d+$/.test(version))).toEqual([
    ...[true, true, true],
  ]);
  expect(said.filter((line) => line.includes('installing'))).toEqual([]);
});

test.each(['SIGKILL', 'SIGINT'] as const)(
  'nothing that a run started is left after it was ended by %s',
  async (signal) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', STARTER], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ROOST_RUN: '' },
    });
    const [line] = await once(child.stdout, 'data');
    const { pid, frozen, folder } = JSON.parse(String(line));
    expect([isAlive(pid), isAlive(frozen), existsSync(folder)]).toEqual([true, true, true]);

    child.kill(signal);
    await once(child, 'exit');

    const left = () => [isAlive(pid), isAlive(frozen), existsSync(folder)];
    for (let waited = 0; waited < 60_000 && left().includes(true); waited += 50) await sleep(50);
    expect(left()).toEqual([false, false, false]);
  },
);

test('a database that was killed comes back on its port with what it had', async () => {
  await using postgres = await Postgres.open();
  const query = async (text: string) => {
    await using database = new Database({ url: postgres.url }, 1);
    return await database.query<{ n: number }>({ text });
  };
  await query('CREATE TABLE kept AS SELECT 1 AS n');
  await postgres.kill();
  await expect(query('SELECT n FROM kept')).rejects.toThrow();
  await postgres.start();
  expect(await query('SELECT n FROM kept')).toEqual([{ n: 1 }]);
});

test('a Valkey that was stopped comes back on its port', async () => {
  await using valkey = await Valkey.open();
  await valkey.stop();
  await valkey.start();
  await valkey.wipe();
  expect(valkey.url).toBe(`redis://127.0.0.1:${valkey.port}`);
});

test('no two get the same port', async () => {
  const run = Run.current();
  const ports = await Promise.all(Array.from({ length: 50 }, () => run.takePort()));
  expect(new Set(ports).size).toBe(50);
});
