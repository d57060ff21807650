import { expect, test } from '@jest/globals';
import { outageOf } from './outages.ts';
import { renderTable } from './table.ts';

test('a table has a row for each fault, and says below what was not kept', () => {
  const outage = { sent: 1_250, arrived: 2_000 };
  const broken = ['lost: ann 1 never reached ben'];
  const text = renderTable([
    { fault: 'kill qs-1', seen: 'UNAVAILABLE 3', outage, remark: '', violations: [] },
    { fault: 'kill ds-1', seen: '', outage, remark: '9 retries', violations: broken },
    { fault: 'disk full', seen: '', remark: '', violations: [], leftOut: 'not root' },
  ]);
  expect(text.split('\n')).toEqual([
    'fault     | clients saw   | send  | arrival | verdict',
    '----------|---------------|-------|---------|-------------------',
    'kill qs-1 | UNAVAILABLE 3 | 1.3 s | 2.0 s   | holds',
    'kill ds-1 | nothing       | 1.3 s | 2.0 s   | BROKEN: 9 retries',
    'disk full |               |       |         | left out: not root',
    '',
    'kill ds-1 broke 1 promises:',
    '  lost: ann 1 never reached ben',
  ]);
});

test('an outage is the longest that somebody waited, whoever that was', () => {
  const words = (what: string) => ({ client: 'ann', group: 'g', level: 'text' as const, what });
  const heard = (client: string, what: string) => ({ ...words(what), client });
  expect(
    outageOf([
      { kind: 'sending', atMs: 100, ...words('one') },
      { kind: 'sending', atMs: 200, ...words('two') },
      { kind: 'accepted', atMs: 150, epoch: 1, ...words('one') },
      { kind: 'arrived', atMs: 400, ...heard('ben', 'one') },
      { kind: 'accepted', atMs: 1_200, epoch: 1, ...words('two') },
      { kind: 'arrived', atMs: 1_100, ...heard('ben', 'two') },
      { kind: 'arrived', atMs: 1_300, ...heard('cat', 'two') },
    ]),
  ).toEqual({ sent: 1_000, arrived: 1_100 });
  expect(outageOf([])).toEqual({ sent: 0, arrived: 0 });
});
