import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import {
  emptyState,
  encodeQueueBatch,
  type QueueItem,
  type QueueRun,
  sealBatch,
  sealSecret,
} from '@roost/bus/queue';
import { GroupId, parseDomain, uuidOf } from '@roost/core/ids';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import type { Core } from './core.ts';
import { queueFollowing } from './inbox.ts';
import type { KeyPackages } from './key-packages.ts';
import { Lanes } from './lanes.ts';
import { Ledger } from './ledger.ts';
import { News, newsShelves } from './news.ts';
import { NodeStore } from './node/store.ts';
import {
  type Account,
  accounts,
  type Group,
  groups,
  queueReaders,
  SELF,
  stateShelves,
} from './state.ts';
import { tasks } from './task.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-inbox-'));
afterAll(() => rmSync(folder, { recursive: true }));

const queueKey = crypto.x25519.generate();
const group = {
  id: GroupId.of(uuidOf(crypto.random(16)), parseDomain('home.example')),
  standing: 'active',
} as Group;
const gap: QueueItem = { kind: 'gap', storedAtMs: 0n, events: 3n };
const lowWater: QueueItem = { kind: 'low-water', storedAtMs: 0n, available: 4 };
const nonsense: QueueItem = { kind: 'event', storedAtMs: 0n, groupEvent: crypto.random(9) };

/** A queue as the QS writes it. */
class Queue {
  readonly #runs: QueueRun[] = [];
  #state: Uint8Array = emptyState;
  #next = 0n;

  constructor() {
    const sealed = sealSecret(crypto, this.#state, queueKey.publicKey, 0n);
    this.#step(sealed);
  }

  put(...items: QueueItem[]): this {
    const place = { firstSequence: this.#next, count: items.length };
    this.#step(sealBatch(crypto, this.#state, place, encodeQueueBatch(items)));
    return this;
  }

  /** All runs up to now. */
  get runs(): QueueRun[] {
    return [...this.#runs];
  }

  #step({ state, run }: { readonly state: Uint8Array; readonly run: QueueRun }): void {
    this.#state = state;
    this.#runs.push(run);
    this.#next += BigInt(run.count);
  }
}

let stores = 0;

/** What a client reads its queue with, and nothing else of one. */
async function reader() {
  const store = NodeStore.open(join(folder, String(stores++)));
  const ledger = await Ledger.open(store, [...stateShelves, ...newsShelves, tasks]);
  const refilled: (number | undefined)[] = [];
  const reports: unknown[] = [];
  const report = (error: unknown): void => void reports.push(error);
  const perform = async () => 'blocked' as const;
  const refused = async (): Promise<void> => undefined;
  const reachable = (): void => undefined;
  const parts = { ledger, crypto, perform, refused, reachable, report };
  const lanes = new Lanes({ ...parts, peerAway: () => undefined });
  const news = new News(ledger);
  const caller = { services: { queue: {} } };
  const core = { ledger, crypto, lanes, news, report, caller } as object as Core;
  const keyPackages = {
    refill: async (available?: number) => void refilled.push(available),
  } as object as KeyPackages;
  await ledger.turn((turn) => {
    turn.put(accounts, SELF, { queueKey } as Account);
    turn.put(queueReaders, SELF, { next: 0n, state: emptyState });
    turn.put(groups, 'a-group', group);
  });
  const { take } = queueFollowing(core, keyPackages);
  const read = (runs: QueueRun[]) => take({ runs, reconnectWithinMs: 0 });
  const next = () => ledger.get(queueReaders, SELF)?.next;
  return { ledger, news, read, next, refilled, reports };
}

test('a gap is told, and every group reads its log', async () => {
  const { ledger, news, read, next } = await reader();
  await read(new Queue().put(gap).runs);

  expect(next()).toBe(2n);
  expect(news.unread()).toEqual([{ kind: 'lost', count: 3 }]);
  expect(ledger.get(groups, 'a-group')?.isBehind).toBe(true);
  expect(ledger.list(tasks).map(([, { kind }]) => kind)).toEqual(['catch-up']);
});

test('few KeyPackages are made more', async () => {
  const { read, refilled } = await reader();
  await read(new Queue().put(lowWater).runs);
  expect(refilled).toEqual([4]);
});

test('what was read before is not read again', async () => {
  const { news, read, next } = await reader();
  const queue = new Queue().put(gap);
  await read(queue.runs);
  expect(await read(queue.runs)).toBe(0);
  expect(await read(queue.put(gap).runs)).toBe(1);

  expect(next()).toBe(3n);
  expect(news.unread()).toHaveLength(2);
});

test('an event that nobody can read does not stop what is behind it', async () => {
  const { news, read, reports } = await reader();
  await read(new Queue().put(nonsense, gap).runs);
  expect(reports).toHaveLength(1);
  expect(news.unread()).toHaveLength(1);
});

test('a run that does not open is passed over, and the logs are read', async () => {
  const { ledger, read, next, reports } = await reader();
  const [secret, run] = new Queue().put(gap).runs;
  if (secret === undefined || run === undefined) throw new Error('there are two runs');
  const ciphertext = Uint8Array.from(run.ciphertext);
  ciphertext[20] = (ciphertext[20] ?? 0) ^ 1;
  await read([secret, { ...run, ciphertext }]);

  expect(next()).toBe(2n);
  expect(reports).toHaveLength(1);
  expect(ledger.get(groups, 'a-group')?.isBehind).toBe(true);
});
