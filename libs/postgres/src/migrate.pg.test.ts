import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshDatabase } from '@roost/testing/postgres';
import { migrate } from './migrate.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost-migrations-'));
});
afterAll(async () => await rm(root, { recursive: true }));

const FIRST = 'CREATE TABLE one (n int); INSERT INTO one VALUES (1);';
const SECOND = 'ALTER TABLE one ADD COLUMN m int;';

async function folder(name: string, ...files: string[]): Promise<URL> {
  const path = join(root, name);
  await mkdir(path);
  await Promise.all(files.map((sql, at) => writeFile(join(path, `000${at + 1}_step.sql`), sql)));
  return pathToFileURL(path);
}

test('migrations run once and in order, also when many begin at once', async () => {
  await using database = await freshDatabase();
  const both = await folder('both', FIRST, SECOND);
  await Promise.all([1, 2, 3, 4].map(() => migrate(database, both)));
  await migrate(database, both);
  expect(await database.query({ text: 'SELECT n, m FROM one' })).toEqual([{ n: 1, m: null }]);
});

test('a migration that fails changes nothing, and the next try begins with it', async () => {
  await using database = await freshDatabase();
  const broken = await folder('broken', FIRST, `${SECOND} SELECT * FROM nowhere;`);
  await expect(migrate(database, broken)).rejects.toThrow('nowhere');
  await expect(database.query({ text: 'SELECT m FROM one' })).rejects.toThrow('42703');
  expect(await database.query({ text: 'SELECT name FROM migrations' })).toHaveLength(1);
});

test('a database of another version is refused with a way out', async () => {
  await using database = await freshDatabase();
  await migrate(database, await folder('today', FIRST, SECOND));
  const older = await folder('older', FIRST);
  await expect(migrate(database, older)).rejects.toThrow(/0002_step.*does not know.*--reset/);
  const changed = await folder('changed', `${FIRST} SELECT 1;`, SECOND);
  await expect(migrate(database, changed)).rejects.toThrow(/0001_step.*was changed.*--reset/);
});

test('a fresh database of the same migrations is a copy of its own', async () => {
  const migrations = await folder('copied', FIRST);
  await using a = await freshDatabase(migrations);
  await using b = await freshDatabase(migrations);
  await a.query({ text: 'DELETE FROM one' });
  expect(await b.query({ text: 'SELECT n FROM one' })).toEqual([{ n: 1 }]);
});
