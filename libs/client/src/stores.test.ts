import 'fake-indexeddb/auto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { utf8 } from '@roost/core/bytes';
import { Ledger, shelf } from './ledger.ts';
import { NodeStore } from './node/store.ts';
import type { Store } from './store.ts';
import { WebStore } from './web/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-store-'));
afterAll(() => rmSync(folder, { recursive: true }));

const opened: (readonly [name: string, open: () => Promise<Store & Disposable>])[] = [
  ['node', async () => NodeStore.open(join(folder, 'both'))],
  ['web', async () => WebStore.open('both')],
];

test.each(opened)('the %s store keeps, lists in order and deletes', async (_name, open) => {
  using store = await open();
  await store.write([
    { key: 'b/2', value: utf8('two') },
    { key: 'b/1', value: utf8('one') },
    { key: 'c', value: utf8('see') },
  ]);
  await store.write([{ key: 'c', value: undefined }]);

  expect(await store.get('c')).toBeUndefined();
  expect(await store.get('b/1')).toEqual(utf8('one'));
  expect(await store.list('b/')).toEqual([
    { key: 'b/1', value: utf8('one') },
    { key: 'b/2', value: utf8('two') },
  ]);
  expect(await store.list('')).toHaveLength(2);
});

test.each(opened)('a batch of the %s store is written whole or not at all', async (name, _open) => {
  using store = name === 'node' ? NodeStore.open(join(folder, 'whole')) : await WebStore.open('w');
  const broken = { key: 'b', value: Symbol('not bytes') as never };

  await expect(store.write([{ key: 'a', value: utf8('one') }, broken])).rejects.toThrow();

  expect(await store.list('')).toEqual([]);
});

test('a page that was frozen while a newer one took over writes nothing more', async () => {
  using older = await WebStore.open('tabs');
  using newer = await WebStore.open('tabs');
  await newer.write([{ key: 'k', value: utf8('newer') }]);

  await expect(older.write([{ key: 'k', value: utf8('older') }])).rejects.toMatchObject({
    reason: 'LISTENER_REPLACED',
  });

  expect(await newer.get('k')).toEqual(utf8('newer'));
  await older.wanted;
});

test('a node store is for one client at a time and for its owner alone', () => {
  const own = join(folder, 'own');
  {
    using _first = NodeStore.open(own);
    expect(() => NodeStore.open(own)).toThrow('in use by another running client');
  }
  using _second = NodeStore.open(own);
  expect(statSync(join(own, 'client.sqlite')).mode & 0o777).toBe(0o600);
});

const numbers = shelf<{ readonly n: bigint; readonly bytes: Uint8Array }>('numbers/');
const record = { n: 2n ** 60n, bytes: Uint8Array.of(1, 2, 3) };

test('a turn sees its own changes, and is written whole', async () => {
  const store = NodeStore.open(join(folder, 'turns'));
  const ledger = await Ledger.open(store, [numbers]);
  await ledger.turn((turn) => turn.put(numbers, 'a', record));

  const seen = await ledger.turn((turn) => {
    turn.put(numbers, 'b', record);
    turn.delete(numbers, 'a');
    return turn.list(numbers);
  });

  expect(seen).toEqual([['b', record]]);
  expect(ledger.list(numbers)).toEqual([['b', record]]);
  expect((await Ledger.open(store, [numbers])).list(numbers)).toEqual([['b', record]]);
});

test('a turn that fails changes nothing, has no effect, and holds up no other', async () => {
  const store = NodeStore.open(join(folder, 'fails'));
  const ledger = await Ledger.open(store, [numbers]);
  let effects = 0;

  const failing = ledger.turn((turn) => {
    turn.put(numbers, 'a', record);
    turn.after(() => effects++);
    throw new Error('no');
  });
  const next = ledger.turn((turn) => {
    turn.after(() => effects++);
    return turn.list(numbers);
  });

  await expect(failing).rejects.toThrow('no');
  expect(await next).toEqual([]);
  expect(effects).toBe(1);
});

test('a part of a turn that fails is undone alone', async () => {
  const store = NodeStore.open(join(folder, 'part'));
  const ledger = await Ledger.open(store, [numbers]);
  let effects = 0;

  await ledger.turn(async (turn) => {
    turn.put(numbers, 'before', record);
    const part = turn.attempt(async () => {
      turn.delete(numbers, 'before');
      turn.put(numbers, 'within', record);
      turn.append('appended', utf8('x'));
      turn.after(() => effects++);
      throw new Error('no');
    });
    await expect(part).rejects.toThrow('no');
  });

  expect(ledger.list(numbers)).toEqual([['before', record]]);
  expect(await store.list('')).toHaveLength(1);
  expect(effects).toBe(0);
});
