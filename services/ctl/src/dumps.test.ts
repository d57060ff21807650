// Dumps of databases that services of their own have.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { databasesOf, dumpAll } from './dumps.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-dumps-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A program of this name that does what a line of shell does. */
function pathWith(name: string, line: string): string {
  const bin = mkdtempSync(join(folder, 'bin-'));
  writeFileSync(join(bin, name), `#!/bin/sh\n${line}\n`);
  chmodSync(join(bin, name), 0o755);
  return bin;
}

const URLS = [
  'as=postgres://as:s%40cret@[::1]:5433/as?sslmode=verify-full',
  'ds=postgres:///ds?host=%2Frun',
];

test('each database is dumped by pg_dump, and no password is on a command line', async () => {
  const told = `for each in "$@"; do case "$each" in --file=*) to="\${each#--file=}";; esac; done
echo "$*|$PGHOST|$PGPORT|$PGUSER|$PGPASSWORD|$PGDATABASE|$PGSSLMODE" > "$to"`;
  const environment = { PATH: `${pathWith('pg_dump', told)}:/usr/bin:/bin` };
  const out = join(folder, 'out');
  expect(await dumpAll(databasesOf(URLS, {}), out, environment)).toEqual(['as.dump', 'ds.dump']);
  const said = (file: string): string => readFileSync(join(out, file), 'utf8').trim();
  const args = (file: string): string => `--format=custom --no-owner --file=${join(out, file)}`;
  expect(said('as.dump')).toBe(`${args('as.dump')}|::1|5433|as|s@cret|as|verify-full`);
  expect(said('ds.dump')).toBe(`${args('ds.dump')}|/run||||ds|`);
  expect(JSON.parse(said('dumps.json'))).toMatchObject({ files: ['as.dump', 'ds.dump'] });
  await expect(dumpAll(databasesOf(URLS, {}), out, environment)).rejects.toThrow(/EEXIST/);
});

test('what keeps a dump from being made is said in a sentence', async () => {
  const failing = { PATH: pathWith('pg_dump', 'echo "no such server" >&2; exit 1') };
  const databases = databasesOf([], { ROOSTCTL_DATABASE_QS: 'postgres://qs@db/qs' });
  await expect(dumpAll(databases, join(folder, 'a'), failing)).rejects.toThrow(
    'the database of qs was not dumped: no such server',
  );
  const none = { PATH: pathWith('other', 'exit 0') };
  await expect(dumpAll(databases, join(folder, 'b'), none)).rejects.toThrow(/there is no pg_dump/);
  expect(() => databasesOf(['edge=postgres://a/b'], {})).toThrow(/no service "edge", only as, aas/);
  expect(() => databasesOf(['as=mysql://a/b'], {})).toThrow(/--database as: give postgres:\/\//);
});
