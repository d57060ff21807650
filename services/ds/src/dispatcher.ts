import {
  decodeBusAnswer,
  encodeBusBatch,
  firstPair,
  PARTITIONS,
  traceOfFanOut,
} from '@roost/bus/frames';
import type { BusEvent, Pair } from '@roost/bus/frames';
import type { Bell, Bus } from '@roost/bus/ports';
import { inEach, isExporting, traceOf } from '@roost/bus/trace';
import type { Trace } from '@roost/bus/trace';
import { GroupId } from '@roost/core/ids';
import type { Domain, Uuid } from '@roost/core/ids';
import { backoffMs, sleep } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { DispatchConfig, DsConfig } from './config.ts';
import type { Faults } from './desk.ts';
import { isBefore, nextStep } from './domain/numbering.ts';
import { Patience } from './domain/patience.ts';
import type { DsEvents } from './events.ts';
import { noteGone } from './gone.ts';
import { Leases } from './leases.ts';
import {
  deleteUpTo,
  listHeads,
  readStandings,
  readWaiting,
  waitingPartitions,
} from './store/waiting.ts';
import type { OutboxRow } from './store/outbox.ts';
import type { Standing } from './store/waiting.ts';
import { Wakeup } from './wakeup.ts';

export interface DispatcherPorts {
  readonly database: Database;
  readonly bus: Bus;
  readonly bell: Bell;
  readonly crypto: Crypto;
  readonly transportKey: Uint8Array;
  readonly events: DsEvents;
  readonly faults: Faults;
}

/**
 * Carries those partitions of the outbox to the receiver that this replica has a lease on, each by itself and in order. It
 * keeps nothing: what it has to know it reads from the table, so that it may die anywhere, and two of them do no harm.
 */
export class Dispatcher {
  readonly #ports: DispatcherPorts;
  readonly #home: Domain;
  readonly #config: DispatchConfig;
  readonly #stop = new AbortController();
  readonly #wakeups = Array.from({ length: PARTITIONS }, () => new Wakeup());
  readonly leases: Leases;
  readonly #patience: Patience;
  readonly #ropes: readonly { close(): void }[];
  readonly #running: Promise<void>[];

  constructor(ports: DispatcherPorts, { domain, dispatch }: DsConfig, replica: string) {
    this.#ports = ports;
    this.#home = domain;
    this.#config = dispatch;
    this.#patience = new Patience(dispatch.timeoutFirstMs, dispatch.timeoutMs);
    const { leaseMs } = dispatch;
    const gained = (partitions: readonly number[]): void => this.#wakeHere(partitions);
    this.leases = new Leases(ports, { replica, leaseMs, gained });
    this.#ropes = this.#wakeups.map((wakeup, partition) =>
      ports.bell.listen(bellKey(partition), () => wakeup.wake()),
    );
    const carriers = this.#wakeups.map((wakeup, partition) => this.#carry(partition, wakeup));
    this.#running = [...carriers, this.#poll(), this.#tellHeads()];
  }

  /** Says that something waits: to us, or to the replica whose turn it is. */
  wake(partitions: Iterable<number>): void {
    for (const partition of partitions) {
      if (this.leases.holds(partition)) this.#wakeHere([partition]);
      else this.#ports.bell.ring(bellKey(partition));
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    for (const rope of this.#ropes) rope.close();
    for (const wakeup of this.#wakeups) wakeup.wake();
    await Promise.all(this.#running);
    await this.leases.close();
  }

  #wakeHere(partitions: Iterable<number>): void {
    for (const partition of partitions) this.#wakeups[partition]?.wake();
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Empties a partition while it is ours, then sleeps until something is put in or it becomes ours. */
  async #carry(partition: number, wakeup: Wakeup): Promise<void> {
    const stalled = new Set<Uuid>();
    for (let attempt = 0; !this.#isStopped;) {
      try {
        if (!this.leases.holds(partition)) stalled.clear();
        await this.#empty(partition, stalled);
        if (stalled.size === 0) attempt = 0;
        const ms = stalled.size === 0 ? undefined : this.#pauseMs(attempt);
        if (this.#isStopped || (await wakeup.wait(ms))) continue;
        stalled.clear();
        attempt++;
      } catch (error) {
        if (this.#isStopped) return;
        this.#ports.events.dispatchFailed(partition, attempt, error);
        await this.#pause(attempt++);
      }
    }
  }

  /** Whoever puts something in while this runs wakes us again. */
  async #empty(partition: number, stalled: Set<Uuid>): Promise<void> {
    for (;;) {
      if (this.#isStopped || !this.leases.holds(partition)) return;
      if (!(await this.#carryBatch(partition, stalled))) return;
    }
  }

  /**
   * Sends what waits the longest and removes what arrived; whether there was more than went with it.
   * Groups that did not get on are put aside, so that they do not hold up the others.
   */
  async #carryBatch(partition: number, stalled: Set<Uuid>): Promise<boolean> {
    const { database, faults } = this.#ports;
    const { batchEventsMax, batchBytesMax } = this.#config;
    const limits = { rowsMax: batchEventsMax, bytesMax: batchBytesMax };
    const waiting = { destination: this.#home, partition, stalled: [...stalled] };
    const rows = await readWaiting(database, waiting, limits);
    if (rows.length === 0) return false;
    await faults('dispatch.read');
    const events = rows.map((row) => this.#eventOf(row));
    const marks = await inEach('ds dispatch', 'inside', this.#tracesOf(events), () =>
      this.#send(partition, events),
    );
    // The rows are in order: of each group the last stays.
    const sent = new Map(rows.map(({ id, number }) => [id, number]));
    const lagging = await this.#settle(sent, marks);
    const stuck = lagging.length === 0 ? [] : await this.#tellGaps(partition, lagging, marks);
    for (const id of stuck) stalled.add(id);
    const bytes = rows.reduce((sum, { sealed }) => sum + sealed.length, 0);
    return lagging.length > 0 || rows.length === batchEventsMax || bytes >= batchBytesMax;
  }

  /** Removes what arrived; gives the groups that are not where we sent them to. */
  async #settle(sent: ReadonlyMap<Uuid, Pair>, marks: ReadonlyMap<Uuid, Pair>): Promise<Uuid[]> {
    const { database, faults } = this.#ports;
    await faults('dispatch.answered');
    const arrived = [...marks].map(([id, mark]) => ({ id, mark }));
    await deleteUpTo(database, this.#home, arrived);
    await faults('dispatch.deleted');
    return [...sent]
      .filter(([id, last]) => isBefore(marks.get(id) ?? firstPair, last))
      .map(([id]) => id);
  }

  /** Where a receiver lost what is gone here too, tells it so; gives the groups that got no further. */
  async #tellGaps(
    partition: number,
    lagging: readonly Uuid[],
    marks: ReadonlyMap<Uuid, Pair>,
  ): Promise<readonly Uuid[]> {
    const { database, events } = this.#ports;
    // Read after the answer: a row that is missing now is one that nobody will send any more.
    const standings = await readStandings(database, this.#home, lagging);
    const gaps = standings.flatMap((standing) => this.#gapOf(standing, marks.get(standing.id)));
    if (gaps.length === 0) return lagging;
    events.gapTold(partition);
    const told = await this.#send(partition, gaps);
    const reached = gaps.filter(({ groupId, number }) => {
      return !isBefore(told.get(groupId.uuid) ?? firstPair, number);
    });
    return lagging.filter((id) => !reached.some(({ groupId }) => groupId.uuid === id));
  }

  #gapOf({ id, lowest, head }: Standing, mark: Pair | undefined): BusEvent[] {
    if (mark === undefined) return [];
    const step = nextStep(mark, lowest, head);
    if (step.kind !== 'gap') return [];
    const groupId = GroupId.of(id, this.#home);
    return [{ kind: 'gap', groupId, prev: step.from, number: step.to, sealed: NOTHING }];
  }

  /** Whose traces a batch is part of; asked for only where traces leave this process. */
  #tracesOf(events: readonly BusEvent[]): Trace[] {
    if (!isExporting()) return [];
    const { crypto, transportKey } = this.#ports;
    return events.flatMap((event) => {
      const trace = traceOfFanOut(crypto, transportKey, event);
      return trace === undefined ? [] : [traceOf(trace)];
    });
  }

  #eventOf({ id, number, prev, sealed }: OutboxRow): BusEvent {
    return { kind: 'event', groupId: GroupId.of(id, this.#home), number, prev, sealed };
  }

  async #send(partition: number, events: readonly BusEvent[]): Promise<ReadonlyMap<Uuid, Pair>> {
    const batch = encodeBusBatch({ source: this.#home, events });
    const { signal } = this.#stop;
    const began = performance.now();
    const answered = await this.#patience.during((timeoutMs) =>
      this.#ports.bus.request(partition, batch, { timeoutMs, signal }),
    );
    this.#ports.events.dispatched(events.length, performance.now() - began);
    const answer = decodeBusAnswer(answered);
    await noteGone(this.#ports, this.#home, answer.gone);
    // Another hub's groups are none of ours, whatever the receiver says.
    const ours = answer.marks.filter(({ groupId }) => groupId.domain === this.#home);
    return new Map(ours.map(({ groupId, mark }) => [groupId.uuid, mark]));
  }

  /** What another replica left behind when it died, and what we were rung for in vain. */
  async #poll(): Promise<void> {
    while (!this.#isStopped) {
      try {
        this.#wakeHere(await waitingPartitions(this.#ports.database, this.#home));
      } catch {
        // The database is away: whoever sends hears it, and we look again.
      }
      await sleep(this.#config.pollMs, this.#stop.signal);
    }
  }

  /** Round after round, tells each group's last number, so that a quiet one reveals a loss too. */
  async #tellHeads(): Promise<void> {
    while (!this.#isStopped) {
      await sleep(this.#config.headsMs, this.#stop.signal);
      for (let attempt = 0, after: Uuid | undefined; !this.#isStopped;) {
        try {
          after = await this.#tellHeadsAfter(after);
          if (after === undefined) break;
          attempt = 0;
        } catch (error) {
          if (this.#isStopped) return;
          this.#ports.events.dispatchFailed(-1, attempt, error);
          await this.#pause(attempt++);
        }
      }
    }
  }

  async #tellHeadsAfter(after: Uuid | undefined): Promise<Uuid | undefined> {
    const { database } = this.#ports;
    const heads = await listHeads(database, this.#home, after, this.#config.batchEventsMax);
    for (const [partition, those] of Map.groupBy(heads, (head) => head.partition)) {
      if (!this.leases.holds(partition)) continue;
      const events = those.map(({ id, pair }) => ({
        kind: 'head' as const,
        groupId: GroupId.of(id, this.#home),
        number: pair,
        prev: firstPair,
        sealed: NOTHING,
      }));
      const marks = await this.#send(partition, events);
      const lagging = await this.#settle(new Map(those.map(({ id, pair }) => [id, pair])), marks);
      if (lagging.length > 0) await this.#tellGaps(partition, lagging, marks);
    }
    return heads.at(-1)?.id;
  }

  async #pause(attempt: number): Promise<void> {
    await sleep(this.#pauseMs(attempt), this.#stop.signal);
  }

  #pauseMs(attempt: number): number {
    const { backoffFirstMs, backoffLastMs } = this.#config;
    const random = (this.#ports.crypto.random(1)[0] ?? 0) / 256;
    return backoffMs(attempt, backoffFirstMs, backoffLastMs, random);
  }
}

const NOTHING = new Uint8Array(0);

function bellKey(partition: number): string {
  return `outbox.${partition}`;
}
