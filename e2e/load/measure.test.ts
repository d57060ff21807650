import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import {
  childrenOf,
  percentile,
  postgresCpu,
  renderTable,
  residentBytes,
  round,
} from './measure.ts';

test('percentiles are of the sorted values', () => {
  const values = [5, 1, 4, 2, 3];
  expect([0, 50, 99].map((percent) => percentile(values, percent))).toEqual([1, 3, 5]);
});

test('numbers are told to three digits', () => {
  expect([0.01234, 3.1449, 45.678, 123456].map(round)).toEqual([
    '0.012',
    '3.14',
    '45.7',
    '123,456',
  ]);
});

test('the table says which targets were met, and judges nothing without one', () => {
  const table = renderTable([
    { what: 'good', figure: '1', target: '<= 2', met: true },
    { what: 'bad', figure: '3', ratio: 1.5, target: '<= 2', met: false },
    { what: 'open', figure: '4' },
  ]);
  const [, , good, bad, open] = table.split('\n');
  expect(good).toMatch(/met$/);
  expect(bad).toMatch(/1\.50 .* MISSED$/);
  expect(open).toMatch(/4$/);
});

test('CPU and memory of a process include those of its children', async () => {
  const spin =
    'process.stdout.write("up"); const end = Date.now() + 300; while (Date.now() < end);';
  const child = spawn(process.execPath, ['-e', spin], { stdio: ['ignore', 'pipe', 'ignore'] });
  // A process that was only just spawned owns next to no memory yet.
  await once(child.stdout, 'data');
  expect(childrenOf(process.pid)).toContain(child.pid);
  expect(residentBytes([child.pid ?? 0])).toBeGreaterThan(1024 * 1024);
  const before = postgresCpu(process.pid);
  await once(child, 'exit');
  expect(postgresCpu(process.pid)).toBeGreaterThan(before);
});
