import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Domain, parseDomain } from '@roost/core/ids';
import { openHome } from './home.ts';

let root: string;
let folder: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'roost homes '));
});
afterAll(async () => await rm(root, { recursive: true }));
beforeEach(() => {
  folder = join(root, `home ${count++}`);
});

const wanted = { domain: undefined, development: true, reset: false, yes: false };
const example: Domain = parseDomain('example.org');

test('a home keeps its domain, and refuses another by naming both', async () => {
  {
    using first = await openHome(folder, { ...wanted, domain: example });
    expect(first.domain).toBe('example.org');
  }
  {
    using again = await openHome(folder, wanted);
    expect(again.domain).toBe('example.org');
  }
  const other = openHome(folder, { ...wanted, domain: parseDomain('example.net') });
  await expect(other).rejects.toThrow(/belongs to example\.org, .*example\.net/);
});

test('the domain is localhost in development only', async () => {
  await expect(openHome(folder, { ...wanted, development: false })).rejects.toThrow('--domain');
  using home = await openHome(folder, wanted);
  expect(home.domain).toBe('localhost');
});

test('a second process is told which one is there; a dead one is not in the way', async () => {
  {
    using _ = await openHome(folder, wanted);
    // Our own process counts as dead to itself, so another that lives stands in.
    const parent = await readFile(`/proc/${process.ppid}/stat`, 'utf8');
    const start = parent.slice(parent.lastIndexOf(')') + 2).split(' ')[19];
    await writeFile(join(folder, 'lock'), `${process.ppid} ${start}\n`);
    await expect(openHome(folder, wanted)).rejects.toThrow(`process ${process.ppid}`);
    await writeFile(join(folder, 'lock'), `${process.ppid} 1\n`);
    using again = await openHome(folder, wanted);
    expect(again.folder).toBe(folder);
  }
  expect(await readdir(folder)).not.toContain('lock');
});

test('secrets are drawn once, at the same time too, and only we can read them', async () => {
  let drawn: Uint8Array[];
  {
    using home = await openHome(folder, wanted);
    drawn = await Promise.all([home.secret('a'), home.secret('b'), home.secret('a')]);
  }
  expect(drawn[0]).toHaveLength(32);
  expect(drawn[0]).toEqual(drawn[2]);
  expect(drawn[0]).not.toEqual(drawn[1]);
  using home = await openHome(folder, wanted);
  expect(await home.secret('b')).toEqual(drawn[1]);
  expect((await stat(join(folder, 'keys.json'))).mode & 0o777).toBe(0o600);
});

test('damaged keys are not drawn anew', async () => {
  using home = await openHome(folder, wanted);
  await writeFile(join(folder, 'keys.json'), '{"a": "12');
  await expect(home.secret('a')).rejects.toThrow('damaged');
});

test('a reset asks first, deletes what is ours, and nothing else', async () => {
  {
    using home = await openHome(folder, { ...wanted, domain: example });
    await home.secret('a');
  }
  await mkdir(join(folder, 'postgresql-18'));
  await writeFile(join(folder, 'letters.txt'), 'mine');
  await expect(openHome(folder, { ...wanted, reset: true })).rejects.toThrow('--yes');
  using home = await openHome(folder, { ...wanted, reset: true, yes: true });
  expect(home.domain).toBe('localhost');
  expect((await readdir(folder)).toSorted()).toEqual(['homeserver.json', 'letters.txt', 'lock']);
});

test('a folder that cannot be used is refused with a sentence', async () => {
  await writeFile(folder, 'a file');
  await expect(openHome(folder, wanted)).rejects.toThrow(/cannot be used \(E.*--data/);
});
