import {
  decodeBusAnswer,
  encodeBusBatch,
  encodeRemoteBatch,
  firstPair,
  traceOfFanOut,
} from '@roost/bus/frames';
import type { BusEvent, Pair } from '@roost/bus/frames';
import { isBefore, nextStep } from '@roost/bus/numbering';
import type { Bus } from '@roost/bus/ports';
import { inEach, isExporting, traceOf } from '@roost/bus/trace';
import type { Trace } from '@roost/bus/trace';
import { GroupId } from '@roost/core/ids';
import type { Domain, Uuid } from '@roost/core/ids';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { DispatchConfig } from './config.ts';
import type { Faults } from './desk.ts';
import { Patience } from './domain/patience.ts';
import type { DsEvents } from './events.ts';
import { noteGone } from './gone.ts';
import type { Head, OutboxRow } from './store/outbox.ts';
import { deleteUpTo, readStandings, readWaiting } from './store/waiting.ts';
import type { Standing } from './store/waiting.ts';

export interface CarriagePorts {
  readonly database: Database;
  /** To whoever takes it: our own QS, or the gateway. */
  readonly bus: Bus;
  readonly crypto: Crypto;
  readonly transportKey: Uint8Array;
  readonly events: DsEvents;
  readonly faults: Faults;
}

/** The rows of a partition that go to one homeserver. */
export interface Load {
  readonly partition: number;
  readonly destination: Domain;
}

/** What became of a batch: there is more than went with it, or not; or the receiver takes nothing for this destination. */
export type Carried = 'more' | 'done' | 'refused';

/**
 * Carries rows of the outbox to the receiver at the other end of a bus, batch by batch. It keeps nothing: what it has to
 * know it reads from the table, so that it may die anywhere, and two of them do no harm.
 */
export class Carriage {
  readonly #ports: CarriagePorts;
  readonly #home: Domain;
  readonly #config: DispatchConfig;
  readonly #signal: AbortSignal;
  readonly #patience: Patience;

  constructor(ports: CarriagePorts, home: Domain, config: DispatchConfig, signal: AbortSignal) {
    this.#ports = ports;
    this.#home = home;
    this.#config = config;
    this.#signal = signal;
    this.#patience = new Patience(config.timeoutFirstMs, config.timeoutMs);
  }

  /**
   * Sends what waits the longest and removes what arrived.
   * Groups that did not get on are put aside, so that they do not hold up the others.
   */
  async carry(load: Load, stalled: Set<Uuid>): Promise<Carried> {
    const { database, faults } = this.#ports;
    const { batchEventsMax, batchBytesMax } = this.#config;
    const limits = { rowsMax: batchEventsMax, bytesMax: batchBytesMax };
    const rows = await readWaiting(database, { ...load, stalled: [...stalled] }, limits);
    if (rows.length === 0) return 'done';
    await faults('dispatch.read');
    const events = rows.map((row) => this.#eventOf(row));
    const marks = await inEach('ds dispatch', 'inside', this.#tracesOf(events), () =>
      this.#send(load, events),
    );
    if (marks.size === 0) return 'refused';
    // The rows are in order: of each group the last stays.
    const sent = new Map(rows.map(({ id, number }) => [id, number]));
    const lagging = await this.#settle(load, sent, marks);
    const stuck = lagging.length === 0 ? [] : await this.#tellGaps(load, lagging, marks);
    for (const id of stuck) stalled.add(id);
    const bytes = rows.reduce((sum, { sealed }) => sum + sealed.length, 0);
    const isFull = rows.length === batchEventsMax || bytes >= batchBytesMax;
    return lagging.length > 0 || isFull ? 'more' : 'done';
  }

  /** Tells last numbers, so that a group that is quiet reveals a loss too. */
  async tellHeads(load: Load, heads: readonly Head[]): Promise<void> {
    const events = heads.map(({ id, pair }) => ({
      kind: 'head' as const,
      groupId: GroupId.of(id, this.#home),
      number: pair,
      prev: firstPair,
      sealed: NOTHING,
    }));
    const marks = await this.#send(load, events);
    const told = new Map(heads.map(({ id, pair }) => [id, pair]));
    const lagging = await this.#settle(load, told, marks);
    if (lagging.length > 0) await this.#tellGaps(load, lagging, marks);
  }

  /** Removes what arrived; gives the groups that are not where we sent them to. */
  async #settle(
    { destination }: Load,
    sent: ReadonlyMap<Uuid, Pair>,
    marks: ReadonlyMap<Uuid, Pair>,
  ): Promise<Uuid[]> {
    const { database, faults } = this.#ports;
    await faults('dispatch.answered');
    const arrived = [...marks].map(([id, mark]) => ({ id, mark }));
    await deleteUpTo(database, destination, arrived);
    await faults('dispatch.deleted');
    return [...sent]
      .filter(([id, last]) => isBefore(marks.get(id) ?? firstPair, last))
      .map(([id]) => id);
  }

  /** Where a receiver lost what is gone here too, tells it so; gives the groups that got no further. */
  async #tellGaps(
    load: Load,
    lagging: readonly Uuid[],
    marks: ReadonlyMap<Uuid, Pair>,
  ): Promise<readonly Uuid[]> {
    const { database, events } = this.#ports;
    // Read after the answer: a row that is missing now is one that nobody will send any more.
    const standings = await readStandings(database, load.destination, lagging);
    const gaps = standings.flatMap((standing) => this.#gapOf(standing, marks.get(standing.id)));
    if (gaps.length === 0) return lagging;
    events.gapTold(load.partition);
    const told = await this.#send(load, gaps);
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

  async #send(load: Load, events: readonly BusEvent[]): Promise<ReadonlyMap<Uuid, Pair>> {
    const batch = this.#batchOf(load, events);
    const began = performance.now();
    const answered = await this.#patience.during((timeoutMs) =>
      this.#ports.bus.request(load.partition, batch, { timeoutMs, signal: this.#signal }),
    );
    this.#ports.events.dispatched(events.length, performance.now() - began);
    const answer = decodeBusAnswer(answered);
    await noteGone(this.#ports, { home: this.#home, owner: load.destination }, answer.gone);
    // Another hub's groups are none of ours, whatever the receiver says.
    const ours = answer.marks.filter(({ groupId }) => groupId.domain === this.#home);
    return new Map(ours.map(({ groupId, mark }) => [groupId.uuid, mark]));
  }

  #batchOf({ destination }: Load, events: readonly BusEvent[]): Uint8Array<ArrayBuffer> {
    const source = this.#home;
    if (destination === source) return encodeBusBatch({ source, events });
    return encodeRemoteBatch({ source, destination, events });
  }
}

const NOTHING = new Uint8Array(0);
