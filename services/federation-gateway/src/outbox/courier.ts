import { firstPair, type Pair } from '@roost/bus/frames';
import { isBefore, nextStep } from '@roost/bus/numbering';
import { Failure } from '@roost/core/failure';
import type { Domain, Uuid } from '@roost/core/ids';
import type { Database } from '@roost/postgres/database';

import type { OutboxEvents } from './events.ts';
import type { Faults } from './faults.ts';
import type { Groups } from './groups.ts';
import { packParcels, type Parcel } from './parcels.ts';
import { Pauses, type PausesPorts } from './pauses.ts';
import type { Delivery, Post, Said } from '../handlers/post.ts';
import { findMarks } from './store/marks.ts';
import { insertGone } from './store/gone.ts';
import { bury } from './store/letters.ts';
import { deleteUpTo, readGroup, readLowest, readWaiting } from './store/rows.ts';
import { isPoison, Suspects } from './suspects.ts';

export interface CourierPorts extends PausesPorts {
  readonly database: Database;
  readonly groups: Groups;
  readonly post: Post;
  readonly events: OutboxEvents;
  readonly faults: Faults;
}

/** A delivery and what of it was sent. */
interface Sent extends Delivery {
  readonly parcel: Parcel;
}

const MIB = 1024 * 1024;
/** Envelopes and frames stay below what is left of 4 MiB. */
const CALL_LIMITS = { parcelsMax: 64, rowsMax: 64, parcelBytesMax: MIB, bytesMax: 3.5 * MIB };
const PROBE_LIMITS = { ...CALL_LIMITS, parcelsMax: 1 };
/** Read at once: of many groups some rows, rather than of one all. */
const READ_LIMITS = { rowsMax: 1_024, bytesMax: CALL_LIMITS.bytesMax };

/**
 * Carries what waits for one homeserver, call by call, each group in order and by one call at a time: by the protocol of the
 * DS and its receivers (design §6), of which the gateway is the next hop. All that counts is in the table: it may die anywhere.
 */
export class Courier {
  readonly #ports: CourierPorts;
  readonly #destination: Domain;
  readonly #signal: AbortSignal;
  /** Groups of which something is under way. */
  readonly #busy = new Set<Uuid>();
  readonly #suspects = new Suspects();
  readonly #pauses: Pauses;
  #picking: Promise<unknown> = Promise.resolve();

  constructor(ports: CourierPorts, destination: Domain, signal: AbortSignal) {
    this.#ports = ports;
    this.#destination = destination;
    this.#signal = signal;
    this.#pauses = new Pauses(ports);
  }

  /** How long until a group that was put aside is tried again; `undefined` where none is. */
  get restMs(): number | undefined {
    return this.#pauses.restMs;
  }

  /** Makes one call, if there is something for one. Throws where the peer cannot be reached or takes nothing at all. */
  async carry(isProbe: boolean): Promise<boolean> {
    const parcels = await this.#pick(isProbe);
    try {
      if (parcels.length === 0) return false;
      await this.#ports.faults('send.read');
      const sent = (await Promise.all(parcels.map((parcel) => this.#open(parcel)))).flat();
      if (sent.length > 0) await this.#deliver(sent);
      return true;
    } finally {
      for (const { id } of parcels) this.#busy.delete(id);
    }
  }

  /** One after the other: two calls never have the same group. */
  async #pick(isProbe: boolean): Promise<readonly Parcel[]> {
    const picking = this.#picking.then(() => this.#pickNow(isProbe));
    this.#picking = picking.catch(() => undefined);
    return await picking;
  }

  async #pickNow(isProbe: boolean): Promise<readonly Parcel[]> {
    const { database } = this.#ports;
    const aside = new Set([...this.#busy, ...this.#pauses.ids]);
    const suspect = this.#suspects.ids.find((id) => !aside.has(id));
    if (suspect !== undefined) {
      const rowsMax = this.#suspects.eventsMaxOf(suspect) ?? 1;
      const rows = await readGroup(database, this.#destination, suspect, rowsMax);
      if (rows.length > 0) return this.#taken([{ id: suspect, rows }]);
      this.#suspects.cleared(suspect);
    }
    const without = [...aside, ...this.#suspects.ids];
    const waiting = { destination: this.#destination, without };
    const rows = await readWaiting(database, waiting, READ_LIMITS);
    return this.#taken(packParcels(rows, isProbe ? PROBE_LIMITS : CALL_LIMITS));
  }

  #taken(parcels: readonly Parcel[]): readonly Parcel[] {
    for (const { id } of parcels) this.#busy.add(id);
    return parcels;
  }

  /** Up to the first that nobody can open, which is given up where it comes first. */
  async #open(parcel: Parcel): Promise<Sent[]> {
    const opened = parcel.rows.map((row) => this.#ports.post.open(row));
    const bad = opened.indexOf(undefined);
    const [first] = parcel.rows;
    if (bad === 0 && first !== undefined) {
      await this.#bury(parcel, 'MALFORMED');
      return [];
    }
    const good = opened.slice(0, bad === -1 ? undefined : bad).filter((each) => each !== undefined);
    const handles = new Set(good.flatMap((each) => [...each.handles]));
    const events = good.flatMap((each) => each.events);
    return [
      {
        id: parcel.id,
        events,
        handles,
        parcel: { ...parcel, rows: parcel.rows.slice(0, events.length) },
      },
    ];
  }

  async #deliver(sent: readonly Sent[]): Promise<void> {
    const { events, faults, post } = this.#ports;
    let said: readonly Said[];
    try {
      said = await post.send(this.#destination, sent, this.#signal);
    } catch (error) {
      if (!(error instanceof Failure) || !isPoison(error.reason)) throw error;
      // All of it was refused, for something in it.
      const { reason } = error;
      said = sent.map(() => ({ kind: 'refused', reason, retryAfterMs: 0 }));
    }
    await faults('send.answered');
    for (const each of said) events.delivered(each.kind === 'stored' ? 'stored' : each.reason);
    const [stored, refused] = [storedOf(sent, said), refusedOf(sent, said)];
    await this.#settle(stored);
    const [poisoned, waiting] = partition(refused, ({ reason }) => isPoison(reason));
    for (const { sent: each, reason } of poisoned) await this.#suspect(each, reason);
    if (waiting.length === 0) return;
    if (waiting.length === sent.length) throw this.#refusal(waiting);
    for (const { sent: each, retryAfterMs } of waiting) this.#pauses.add(each.id, retryAfterMs);
  }

  /** Removes what arrived, and tells the peer what is missing where that is gone here too. */
  async #settle(stored: readonly Stored[]): Promise<void> {
    const { database, faults, groups } = this.#ports;
    if (stored.length === 0) return;
    await insertGone(database, ...groups.goneRows(this.#destination, stored));
    const marks = stored.map(({ sent: { id }, mark }) => ({ id, mark }));
    await deleteUpTo(database, this.#destination, marks);
    await faults('send.deleted');
    const lagging = stored.filter(({ sent, mark }) => isBefore(mark, lastOf(sent)));
    const helped = new Set(lagging.length === 0 ? [] : await this.#tellGaps(lagging));
    for (const { sent, mark } of stored) {
      const isMoving = !isBefore(mark, firstOf(sent)) || helped.has(sent.id);
      if (isMoving) this.#pauses.remove(sent.id);
      else this.#pauses.add(sent.id, 0);
      if (isMoving) this.#suspects.cleared(sent.id);
    }
  }

  /** Gives the groups that got further by it. */
  async #tellGaps(lagging: readonly Stored[]): Promise<readonly Uuid[]> {
    const { database, events, groups, post } = this.#ports;
    const ids = lagging.map(({ sent }) => sent.id);
    // Read after the answer: a row that is missing now is one that nobody will send any more.
    const [lowest, heads] = await Promise.all([
      readLowest(database, this.#destination, ids),
      groups.byGroup(this.#destination, ids, (tags) => findMarks(database, tags)),
    ]);
    const gaps = lagging.flatMap(({ sent: { id }, mark }): Delivery[] => {
      const step = nextStep(mark, lowest.get(id), heads.get(id)?.mark ?? firstPair);
      if (step.kind !== 'gap') return [];
      const gap = { kind: 'gap', prev: step.from, number: step.to, fanOut: NOTHING } as const;
      return [{ id, events: [gap], handles: new Set() }];
    });
    if (gaps.length === 0) return [];
    events.gapsTold(gaps.length);
    const told = storedOf(gaps, await post.send(this.#destination, gaps, this.#signal));
    const marks = told.map(({ sent: { id }, mark }) => ({ id, mark }));
    await deleteUpTo(database, this.#destination, marks);
    return told
      .filter(({ sent, mark }) => !isBefore(mark, lastOf(sent)))
      .map(({ sent }) => sent.id);
  }

  async #suspect({ id, parcel }: Sent, reason: string): Promise<void> {
    if (!this.#suspects.refused(id, parcel.rows.length)) return;
    await this.#bury(parcel, reason);
    this.#suspects.cleared(id);
  }

  /** What is left in the place of the first row of these tells that something is missing. */
  async #bury({ id, rows: [row] }: Parcel, reason: string): Promise<void> {
    if (row === undefined) return;
    const { clock, database, events } = this.#ports;
    const told = { reason, nowMs: clock.now() };
    const buried = await bury(database, this.#destination, { id, number: row.number }, told);
    events.buried(reason, buried);
    // A head that is refused is nothing that could be given up.
    if (buried === 0) this.#pauses.add(id, 0);
  }

  #refusal(waiting: readonly Refused[]): Failure {
    const retryAfterMs = Math.max(...waiting.map((each) => each.retryAfterMs));
    const reason = waiting[0]?.reason.slice(0, 64);
    return new Failure('UNAVAILABLE', `${this.#destination} takes nothing: ${reason}`, {
      retryAfterMs,
    });
  }
}

const NOTHING = new Uint8Array(0);

interface Stored<D extends Delivery = Delivery> {
  readonly sent: D;
  readonly mark: Pair;
  readonly gone: readonly Uint8Array[];
}

interface Refused {
  readonly sent: Sent;
  readonly reason: string;
  readonly retryAfterMs: number;
}

function storedOf(sent: readonly Delivery[], said: readonly Said[]): Stored[] {
  return sent.flatMap((each, at) => {
    const one = said[at];
    return one?.kind === 'stored' ? [{ sent: each, mark: one.mark, gone: one.gone }] : [];
  });
}

function refusedOf(sent: readonly Sent[], said: readonly Said[]): Refused[] {
  return sent.flatMap((each, at) => {
    const one = said[at];
    return one?.kind === 'refused' ? [{ ...one, sent: each }] : [];
  });
}

function partition<T>(all: readonly T[], is: (one: T) => boolean): [T[], T[]] {
  return [all.filter(is), all.filter((one) => !is(one))];
}

function firstOf({ events }: Delivery): Pair {
  return events[0]?.number ?? firstPair;
}

function lastOf({ events }: Delivery): Pair {
  return events.at(-1)?.number ?? firstPair;
}
