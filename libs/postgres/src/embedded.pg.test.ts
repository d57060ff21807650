import { chmod, cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sleep } from '@roost/core/time';
import { findBinaries, findRunner } from './binaries.ts';
import { Database } from './database.ts';
import { ensureDatabases, startEmbedded } from './embedded.ts';
import { startPostmaster, stopOrphan } from './postmaster.ts';

const log: string[] = [];
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost embedded é '));
  await chmod(root, 0o711);
});
afterAll(async () => await rm(root, { recursive: true }));

const started = (home: string) =>
  startEmbedded({ home, fsync: false, log: (text) => log.push(text) });

async function counted(database: Database): Promise<bigint | undefined> {
  const [row] = await database.query<{ count: bigint }>({ text: 'SELECT count(*) FROM kept' });
  return row?.count;
}

test('what was written is there after a stop, a killed database and an orphan', async () => {
  const home = join(root, 'kept');
  {
    await using cluster = await started(home);
    const { one } = await ensureDatabases(cluster, ['one', 'two']);
    await using database = new Database(one ?? { url: '' }, 2);
    await database.query({ text: 'CREATE TABLE kept (n int)' });
    await database.query({ text: 'INSERT INTO kept VALUES (1)' });

    process.kill(cluster.pid(), 'SIGKILL');
    await eventually(async () =>
      expect(log).toContain('the database has stopped by itself; starting it again'),
    );
    await eventually(async () => expect(await counted(database)).toBe(1n));
  }
  const data = join(home, 'postgresql-18');
  const folders = { home, data, sockets: join(home, 'run/postgresql'), log: join(home, 'log') };
  const runner = findRunner();
  const orphan = await startPostmaster(await findBinaries(runner, home), folders, runner, [
    'listen_addresses=',
    `unix_socket_directories="${folders.sockets}"`,
  ]);

  await using cluster = await started(home);
  await orphan.exited;
  expect(log).toContain('stopping the database that an earlier run left behind');
  const { one } = await ensureDatabases(cluster, ['one', 'two']);
  await using database = new Database(one ?? { url: '' }, 1);
  expect(await counted(database)).toBe(1n);
});

test('each role has its own database and enters no other', async () => {
  const home = join(root, 'roles');
  await using cluster = await started(home);
  const { one, two } = await ensureDatabases(cluster, ['one', 'two']);
  await using stranger = new Database({ ...cluster.superuser('two'), ...one, database: 'two' }, 1);
  await expect(stranger.query({ text: 'SELECT 1' })).rejects.toThrow('42501');
  const guess = { ...cluster.superuser('two'), ...two, password: 'guess' };
  await using guessed = new Database(guess, 1);
  await expect(guessed.query({ text: 'SELECT 1' })).rejects.toThrow('28P01');
  expect((await stat(join(home, 'secrets.json'))).mode & 0o777).toBe(0o600);
});

test('a lost secrets.json is drawn anew, and the roles follow it', async () => {
  await using cluster = await started(join(root, 'roles'));
  await rm(join(root, 'roles/secrets.json'));
  const { one } = await ensureDatabases(cluster, ['one', 'two']);
  await using database = new Database(one ?? { url: '' }, 1);
  expect(await database.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]);
});

test('a home whose path is too long for a socket has it elsewhere', async () => {
  const home = join(root, 'long'.repeat(25));
  await using cluster = await started(home);
  expect(cluster.host.startsWith(home)).toBe(false);
  await using database = new Database(cluster.superuser('postgres'), 1);
  expect(await database.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]);
  await cluster.stop();
  await rm(cluster.host, { recursive: true });
});

test('a pid that belongs to somebody else by now is left alone', async () => {
  const data = join(root, 'foreign');
  await mkdir(data);
  await writeFile(join(data, 'postmaster.pid'), `${process.ppid}\n`);
  await stopOrphan(data, (text) => log.push(text));
  expect(process.kill(process.ppid, 0)).toBe(true);
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;
asRoot('a home below a closed folder is refused with a sentence', async () => {
  const closed = join(root, 'closed');
  await mkdir(closed, { mode: 0o700 });
  await expect(started(join(closed, 'home'))).rejects.toThrow(/cannot reach .*--data/);
});

asRoot('programs in a folder that is closed to others are copied to the home', async () => {
  const [home, closed] = [join(root, 'copied'), join(root, 'closed clone')];
  await mkdir(home, { mode: 0o711 });
  await mkdir(closed, { mode: 0o700 });
  const runner = findRunner();
  const installed = await findBinaries(runner, home);
  await cp(dirname(dirname(installed.postgres)), join(closed, 'native'), { recursive: true });

  const unreachable = { initdb: installed.initdb, postgres: join(closed, 'native/bin/postgres') };
  const { postgres } = await findBinaries(runner, home, unreachable);
  expect(dirname(dirname(dirname(postgres)))).toBe(home);
});

async function eventually(check: () => Promise<void>): Promise<void> {
  for (const until = Date.now() + 20_000; ;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > until) throw error;
      await sleep(20);
    }
  }
}
