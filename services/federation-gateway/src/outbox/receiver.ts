import {
  type BusEvent,
  decodeRemoteBatch,
  encodeBusAnswer,
  firstPair,
  type Gone,
  type Pair,
} from '@roost/bus/frames';
import { MarksMoved, untilMarksStay } from '@roost/bus/marks';
import { Failure } from '@roost/core/failure';
import { type Domain, GroupId, type Uuid } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { Executor } from '@roost/postgres/executor';

import type { Backlog } from './backlog.ts';
import type { OutboxEvents } from './events.ts';
import type { Faults } from './faults.ts';
import type { Groups } from './groups.ts';
import { sizeOf } from './parcels.ts';
import { tellGone } from './store/gone.ts';
import { findMarks, moveMarks } from './store/marks.ts';
import { insertRows, type OutboxRow } from './store/rows.ts';
import { take } from './taking.ts';

export interface ReceiverPorts {
  readonly home: Domain;
  readonly database: Database;
  readonly clock: Clock;
  readonly groups: Groups;
  readonly backlog: Pick<Backlog, 'isFull' | 'note'>;
  /** Something waits for a destination. */
  readonly wake: (destination: Domain) => void;
  readonly events: Pick<OutboxEvents, 'full' | 'troubled'>;
  readonly faults: Faults;
}

/**
 * Takes what our DS has for other homeservers (design §6, "Receiving"): what it answers for lies in the outbox, as it came.
 * Every event moves the mark of its group in the transaction that stores it; so a batch may come twice, late, or in parts.
 */
export class Receiver {
  readonly #ports: ReceiverPorts;

  constructor(ports: ReceiverPorts) {
    this.#ports = ports;
  }

  async receive(bytes: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#receive(bytes);
    } catch (error) {
      this.#ports.events.troubled('receiver', error);
      throw error;
    }
  }

  async #receive(bytes: Uint8Array): Promise<Uint8Array> {
    const { backlog, database, events: told, faults, home } = this.#ports;
    const { source, destination, events } = decodeRemoteBatch(bytes);
    const isOurs = events.every(({ groupId }) => groupId.domain === home);
    if (source !== home || destination === home || !isOurs) {
      throw new Failure('FEDERATION_DENIED', 'our own hub speaks of its own groups to others');
    }
    const ids = [...new Set(events.map(({ groupId }) => groupId.uuid))];
    if (backlog.isFull({ destination })) {
      told.full();
      // No mark: nothing is taken for this destination now.
      return encodeBusAnswer({ marks: [], gone: await this.#goneOf(destination, ids) });
    }
    const rows = await untilMarksStay(() =>
      database.transaction((tx) => this.#store(tx, destination, ids, events)),
    );
    backlog.note(destination, rows.length, sizeOf(rows));
    await faults('receive.stored');
    if (rows.length > 0) this.#ports.wake(destination);
    // Read after the transaction has ended.
    const [marks, gone] = await Promise.all([
      this.#marksOf(database, destination, ids),
      this.#goneOf(destination, ids),
    ]);
    const answered = ids.map((id) => ({
      groupId: GroupId.of(id, home),
      mark: marks.get(id)?.mark ?? firstPair,
    }));
    return encodeBusAnswer({ marks: answered, gone });
  }

  async #store(
    tx: Executor,
    destination: Domain,
    ids: readonly Uuid[],
    events: readonly BusEvent[],
  ): Promise<readonly OutboxRow[]> {
    const { clock, groups } = this.#ports;
    const nowMs = clock.now();
    const { rows, moves } = take(await this.#marksOf(tx, destination, ids), events, nowMs);
    const moved = moves.map(({ id, ...move }) => ({ ...move, tag: groups.tagOf(destination, id) }));
    const [isMoved] = await Promise.all([
      moveMarks(tx, moved),
      insertRows(tx, destination, rows, nowMs),
    ]);
    if (!isMoved) throw new MarksMoved();
    return rows;
  }

  async #marksOf(
    on: Executor,
    destination: Domain,
    ids: readonly Uuid[],
  ): Promise<ReadonlyMap<Uuid, { readonly mark: Pair; readonly toldMs: number }>> {
    return await this.#ports.groups.byGroup(destination, ids, (tags) => findMarks(on, tags));
  }

  /** Whose queues are gone, as that homeserver told us. */
  async #goneOf(destination: Domain, ids: readonly Uuid[]): Promise<readonly Gone[]> {
    const { clock, database, groups, home } = this.#ports;
    const told = await groups.goneOf(destination, ids, (tags) =>
      tellGone(database, tags, clock.now()),
    );
    return told.map(({ id, handle }) => ({ groupId: GroupId.of(id, home), handle }));
  }
}
