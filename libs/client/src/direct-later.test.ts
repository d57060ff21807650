import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { DAY_MS } from '@roost/core/time';
import type { Core } from './core.ts';
import { openLater, performOpen } from './direct-later.ts';
import { Lanes } from './lanes.ts';
import { Ledger } from './ledger.ts';
import { NodeStore } from './node/store.ts';
import { counters } from './state.ts';
import { tasks } from './task.ts';
import { nodeCrypto as crypto } from '@roost/crypto/node';

const folder = mkdtempSync(join(tmpdir(), 'roost-later-'));
afterAll(() => rmSync(folder, { recursive: true }));
let stores = 0;

/** A client whose homeserver cannot ask the one of whoever writes. */
async function scene() {
  const time = { now: 1_000 };
  const store = NodeStore.open(join(folder, String(stores++)));
  const ledger = await Ledger.open(store, [tasks, counters]);
  const lanes = new Lanes({
    ...{ ledger, crypto, reachable: () => undefined, peerAway: () => undefined },
    ...{ perform: async () => 'blocked', refused: async () => undefined, report: () => undefined },
  });
  const away = async () => Promise.reject(new Failure('PEER_UNAVAILABLE', 'b.example is away'));
  const core = { ledger, lanes, clock: { now: () => time.now }, trust: { judge: away } };
  return { core: core as object as Core, ledger, time };
}

test('each waits in a lane of its own, and of very many the last are passed over', async () => {
  const { core, ledger } = await scene();
  for (let count = 0; count < 70; count++) {
    await ledger.turn((turn) => openLater(core, turn, []));
  }
  const lanes = ledger.list(tasks).map(([key]) => key.split('/').slice(0, -1).join('/'));
  expect(lanes).toHaveLength(64);
  expect(new Set(lanes).size).toBe(64);
});

test('it is tried for a week, and then forgotten', async () => {
  const { core, ledger, time } = await scene();
  await ledger.turn((turn) => openLater(core, turn, []));
  const [key = '', task] = ledger.list(tasks)[0] ?? [];
  if (task?.kind !== 'open') throw new Error('a task is written down');
  time.now += 6 * DAY_MS;
  await expect(performOpen(core, key, task)).rejects.toMatchObject({ reason: 'PEER_UNAVAILABLE' });
  expect(ledger.list(tasks)).toHaveLength(1);
  time.now += 2 * DAY_MS;
  await performOpen(core, key, task);
  expect(ledger.list(tasks)).toEqual([]);
});
