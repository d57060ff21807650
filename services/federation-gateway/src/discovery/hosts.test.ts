import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseNetwork } from '@roost/federation/address';

import { resolveByHosts } from './hosts.ts';
import { addressesOf } from './lookup.ts';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'roost-hosts-'))));
afterAll(async () => await rm(folder, { recursive: true }));

test('names of a file of hosts are found there, as it is at that time', async () => {
  const file = join(folder, 'hosts');
  await writeFile(
    file,
    '# ours\n127.0.1.1\ta.example A2.example # the first\n\n::1 b.example\nx c.example\n',
  );
  const resolve = resolveByHosts(file);
  expect(await resolve('a.example')).toEqual([{ address: '127.0.1.1', family: 4 }]);
  expect(await resolve('a2.example')).toEqual([{ address: '127.0.1.1', family: 4 }]);
  expect(await resolve('b.example')).toEqual([{ address: '::1', family: 6 }]);
  await writeFile(file, '127.0.1.9 a.example\n127.0.1.8 a.example\n');
  expect((await resolve('a.example')).map(({ address }) => address)).toEqual([
    '127.0.1.9',
    '127.0.1.8',
  ]);
});

test('what is found there is judged like anything else', async () => {
  const file = join(folder, 'inside');
  await writeFile(file, '127.0.1.1 a.example\n');
  const resolve = resolveByHosts(file);
  await expect(addressesOf('a.example', { allowed: [], resolve })).rejects.toMatchObject({
    flaw: 'address',
  });
  const allowed = [parseNetwork('127.0.1.0/24')].filter((each) => each !== undefined);
  await expect(addressesOf('a.example', { allowed, resolve })).resolves.toHaveLength(1);
});
