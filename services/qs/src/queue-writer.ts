import type { GroupEvent } from '@roost/bus/group-event';
import {
  emptyState,
  encodeQueueBatch,
  RUN_ITEMS_MAX,
  sealBatch,
  sealSecret,
  type QueueItem,
  type QueueRun,
} from '@roost/bus/queue';
import { assert } from '@roost/core/assert';
import { type Clock, DAY_MS, MINUTE_MS } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Executor } from '@roost/postgres/executor';
import type { QsLimits } from './config.ts';
import { admit, cutRuns } from './domain/queue.ts';
import type { SecretKeys } from './keys.ts';
import {
  deleteExpired,
  findQueueKey,
  insertRuns,
  lockQueues,
  updateQueues,
  type ClientRun,
  type LockedQueue,
} from './store/queues.ts';

/** Something to be put into queues. One that goes into many is one object: it is encoded once. */
export interface Entry {
  readonly item: QueueItem;
  readonly bytes: number;
  readonly isWelcome: boolean;
  /** Whether a push may tell of it. */
  readonly isTold: boolean;
}

/** What was stored in a queue, in order. */
export interface Stored {
  readonly clientId: bigint;
  readonly runs: readonly QueueRun[];
}

/** What is sealed and not yet written; the queues are locked. */
export interface Staged {
  readonly stored: readonly Stored[];
  readonly changed: readonly LockedQueue[];
  /** Entries that full queues did not take. */
  readonly lost: number;
  /** Whether anything was for anybody, silenced or not. */
  readonly isWritten: boolean;
}

/** An answer with one run must fit into what clients take: 4 MiB. */
const RUN_LIMITS = { itemsMax: RUN_ITEMS_MAX, bytesMax: 512 * 1024 };
const ENTRY_OVERHEAD = 24;

/** Puts items into queues: locks, steps the ratchets in memory, writes; three statements in all. */
export class QueueWriter {
  readonly #crypto: Crypto;
  readonly #keys: SecretKeys;
  readonly #clock: Clock;
  readonly #limits: QsLimits;

  constructor(crypto: Crypto, keys: SecretKeys, clock: Clock, limits: QsLimits) {
    this.#crypto = crypto;
    this.#keys = keys;
    this.#clock = clock;
    this.#limits = limits;
  }

  eventEntry(groupEvent: Uint8Array, kind: GroupEvent['kind']): Entry {
    const item: QueueItem = { kind: 'event', storedAtMs: this.#minute(), groupEvent };
    const isWelcome = kind === 'welcome';
    // What keeps a group going wakes nobody.
    const isTold = isWelcome || kind === 'application';
    return { item, bytes: groupEvent.length + ENTRY_OVERHEAD, isWelcome, isTold };
  }

  lowWaterEntry(available: number): Entry {
    const item: QueueItem = { kind: 'low-water', storedAtMs: this.#minute(), available };
    return { item, bytes: ENTRY_OVERHEAD, isWelcome: false, isTold: false };
  }

  /** Appends to each queue what is for it. */
  async append(
    tx: Executor,
    arrivals: ReadonlyMap<bigint, readonly Entry[]>,
  ): Promise<readonly Stored[]> {
    const staged = await this.stage(tx, arrivals);
    await this.write(tx, staged);
    return staged.stored;
  }

  /**
   * Locks the queues and seals what they take. Queues that were deleted meanwhile are passed over. What
   * is `unheard` is for silenced handles: it goes the same way, so that whoever waits for the answer
   * cannot tell by its time, and is then thrown away.
   */
  async stage(
    tx: Executor,
    arrivals: ReadonlyMap<bigint, readonly Entry[]>,
    unheard: ReadonlyMap<bigint, readonly Entry[]> = new Map(),
  ): Promise<Staged> {
    const clientIds = [...new Set([...arrivals.keys(), ...unheard.keys()])];
    const queues = await lockQueues(tx, clientIds, this.#limits.runsPerSecret);
    const encodeShared = sharedEncoder();
    const stored: Stored[] = [];
    const changed: LockedQueue[] = [];
    let lost = 0;
    for (const queue of queues) {
      const ignored = unheard.get(queue.clientId);
      if (ignored !== undefined) this.#seal(queue, ignored, encodeShared);
      const admission = admit(queue, arrivals.get(queue.clientId) ?? [], this.#limits);
      lost += admission.lost;
      if (admission.kept.length === 0) continue;
      const kept = admission.kept.map((each) =>
        typeof each === 'number' ? this.#gapEntry(each) : each,
      );
      const sealed = this.#seal(
        { ...queue, isGapMarked: admission.isGapMarked },
        kept,
        encodeShared,
      );
      stored.push({ clientId: queue.clientId, runs: sealed.runs });
      changed.push(sealed.queue);
    }
    return { stored, changed, lost, isWritten: queues.length > 0 };
  }

  async write(tx: Executor, { stored, changed, isWritten }: Omit<Staged, 'lost'>): Promise<void> {
    if (!isWritten) return;
    const runs: ClientRun[] = stored.flatMap(({ clientId, runs: each }) =>
      each.map((run) => ({ clientId, ...run })),
    );
    // Sent together: neither needs to know how the other went.
    await Promise.all([insertRuns(tx, runs, this.#today()), updateQueues(tx, changed)]);
  }

  /** The first run of a new queue, and the ratchet that it leaves behind. */
  async begin(tx: Executor, clientId: bigint, queueKey: Uint8Array) {
    const { state, run } = sealSecret(this.#crypto, emptyState, queueKey, 0n);
    await insertRuns(tx, [{ clientId, ...run }], this.#today());
    const ratchet = this.#keys.sealRatchet(clientId, state);
    return { ratchet, next: 1n, bytes: run.ciphertext.length };
  }

  /**
   * Where a queue holds something from before a day, drops all that is unread, as later runs do not open
   * without earlier ones, and begins anew with a secret and a gap marker.
   */
  async expire(tx: Executor, clientId: bigint, beforeDay: number): Promise<readonly Stored[]> {
    const [queue] = await lockQueues(tx, [clientId], this.#limits.runsPerSecret);
    if (queue === undefined) return [];
    const [gone] = await deleteExpired(tx, clientId, beforeDay);
    if (gone === undefined || gone.runs === 0n) return [];
    const [key] = await findQueueKey(tx, clientId);
    assert(key !== undefined, 'a locked queue has a key');
    const emptied = {
      ...queue,
      acknowledged: queue.next,
      storedBytes: 0,
      isGapMarked: false,
      ratchet: this.#keys.sealRatchet(clientId, emptyState),
      queueKey: key.queueKey,
    };
    const gap = gone.messages === 0n ? [] : [this.#gapEntry(Number(gone.messages))];
    const sealed = this.#seal(emptied, gap, sharedEncoder());
    const stored = [{ clientId, runs: sealed.runs }];
    await this.write(tx, { stored, changed: [sealed.queue], isWritten: true });
    return stored;
  }

  /**
   * After a restored backup: a queue goes on where no sequence was ever given out, with a new ratchet, as
   * the old one sealed other messages since; its first words are a gap, and that no KeyPackages are left.
   * What lies there still is read by those who have not read it, but does not count as unread, or the queue
   * would be full until then.
   */
  async renew(tx: Executor, clientIds: readonly bigint[], by: bigint): Promise<void> {
    const queues = await lockQueues(tx, clientIds, 0);
    const words = [this.#gapEntry(1), this.lowWaterEntry(0)];
    const encodeShared = sharedEncoder();
    const renewed = queues.map((queue) => {
      const [next, ratchet] = [
        queue.next + by,
        this.#keys.sealRatchet(queue.clientId, emptyState),
      ] as const;
      return this.#seal({ ...queue, next, ratchet, isGapMarked: false }, words, encodeShared);
    });
    const stored = renewed.map(({ queue: { clientId }, runs }) => ({ clientId, runs }));
    const changed = renewed.map(({ queue }) => queue);
    await this.write(tx, { stored, changed, isWritten: queues.length > 0 });
  }

  #seal(
    queue: LockedQueue,
    entries: readonly Entry[],
    encodeShared: (entries: readonly Entry[]) => Uint8Array,
  ): { readonly queue: LockedQueue; readonly runs: readonly QueueRun[] } {
    const crypto = this.#crypto;
    const runs: QueueRun[] = [];
    let state = this.#keys.openRatchet(queue.clientId, queue.ratchet);
    let { next, storedBytes, runsSinceSecret } = queue;
    const add = (step: { readonly state: Uint8Array; readonly run: QueueRun }): void => {
      state = step.state;
      runs.push(step.run);
      next += BigInt(step.run.count);
      storedBytes += step.run.ciphertext.length;
      runsSinceSecret++;
    };
    if (queue.queueKey !== null) {
      add(sealSecret(crypto, state, queue.queueKey, next));
      runsSinceSecret = 0;
    }
    for (const run of cutRuns(entries, RUN_LIMITS)) {
      const place = { firstSequence: next, count: run.length };
      add(sealBatch(crypto, state, place, encodeShared(run)));
    }
    const ratchet = this.#keys.sealRatchet(queue.clientId, state);
    return { queue: { ...queue, ratchet, next, storedBytes, runsSinceSecret }, runs };
  }

  #gapEntry(events: number): Entry {
    const item: QueueItem = { kind: 'gap', storedAtMs: this.#minute(), events: BigInt(events) };
    return { item, bytes: ENTRY_OVERHEAD, isWelcome: false, isTold: false };
  }

  /** Whole minutes: no more is told about when something came. */
  #minute(): bigint {
    return BigInt(Math.floor(this.#clock.now() / MINUTE_MS) * MINUTE_MS);
  }

  #today(): number {
    return Math.floor(this.#clock.now() / DAY_MS);
  }
}

/** Encodes a QueueBatch once for all queues that take the same entries. */
function sharedEncoder(): (entries: readonly Entry[]) => Uint8Array {
  const numbers = new Map<Entry, number>();
  const encoded = new Map<string, Uint8Array>();
  const numberOf = (entry: Entry): number => {
    const known = numbers.get(entry) ?? numbers.size;
    numbers.set(entry, known);
    return known;
  };
  return (entries) => {
    const key = entries.map(numberOf).join();
    const known = encoded.get(key) ?? encodeQueueBatch(entries.map(({ item }) => item));
    encoded.set(key, known);
    return known;
  };
}
