import {
  decodeBusBatch,
  encodeBusAnswer,
  firstPair,
  openFanOut,
  type BusEvent,
  type FanOut,
  type Gone,
  type Pair,
} from '@roost/bus/frames';
import { decodeGroupEvent } from '@roost/bus/group-event';
import { MarksMoved, untilMarksStay } from '@roost/bus/marks';
import { binderOf } from '@roost/bus/queue-config';
import { traceOf, untraced, within } from '@roost/bus/trace';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { printId, type Domain, type GroupId } from '@roost/core/ids';
import type { Clock } from '@roost/core/time';
import type { Crypto } from '@roost/crypto/crypto';
import type { Database } from '@roost/postgres/database';
import type { Executor } from '@roost/postgres/executor';
import {
  decide,
  route,
  type Delivery,
  type FoundRecipient,
  type Group,
  type OpenedEvent,
  type Target,
} from './deliveries.ts';
import type { QsEvents } from './events.ts';
import type { SecretKeys } from './keys.ts';
import type { Listeners } from './listeners.ts';
import type { Entry, QueueWriter, Stored } from './queue-writer.ts';
import type { Pusher, PushKeys } from './pusher.ts';
import type { Records } from './records.ts';
import type { QueueLimits } from './queue-limits.ts';
import { Shown } from './shown.ts';
import { findRecipients } from './store/handles.ts';
import { bury, findMarks, moveMarks, type DeadLetter } from './store/marks.ts';
import { admit } from './throttle.ts';

export interface ReceiverPorts {
  readonly records: Pick<Records, 'assertHub' | 'isHere'>;
  /** What other hubs deliver is counted by this. */
  readonly queueLimits?: QueueLimits | undefined;
  readonly database: Database;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly keys: SecretKeys;
  readonly transportKey: Uint8Array;
  readonly writer: QueueWriter;
  readonly listeners: Listeners;
  readonly pusher: Pusher;
  readonly events: QsEvents;
}

interface Outcome {
  readonly counts: Parameters<QsEvents['stored']>[0];
  readonly stored: readonly Stored[];
  readonly arrivals: ReadonlyMap<bigint, readonly Entry[]>;
  readonly gone: readonly Gone[];
  readonly pushes: ReadonlyMap<bigint, PushKeys>;
  /** As this transaction left them. */
  readonly marks: ReadonlyMap<string, Pair>;
}

/**
 * Stores what the DS sends (design §6, "Receiving"). Every event moves the mark of its group in the
 * transaction that stores it; so a batch may come twice, late, or in parts.
 */
export class Receiver {
  readonly #ports: ReceiverPorts;

  constructor(ports: ReceiverPorts) {
    this.#ports = ports;
  }

  async receive(bytes: Uint8Array): Promise<Uint8Array> {
    const { database, listeners, pusher, records } = this.#ports;
    const { source, events } = decodeBusBatch(bytes);
    records.assertHub(source);
    if (!events.every(({ groupId }) => groupId.domain === source)) {
      throw new Failure('FEDERATION_DENIED', 'a hub delivers for its own groups alone');
    }
    const groups = this.#groupsOf(source, events);
    const opened = await this.#admitted(
      source,
      groups,
      events.map((event) => this.#open(event, groups)),
    );
    const shown = new Shown(opened);
    const outcome = await shown.storing(() =>
      untilMarksStay(() => database.transaction((tx) => this.#store(tx, source, groups, opened))),
    );
    this.#ports.events.stored(outcome.counts);
    for (const { clientId, runs } of outcome.stored) {
      const trace = shown.traceOf(outcome.arrivals.get(clientId));
      within(trace, () => listeners.deliver(clientId, runs));
      const keys = outcome.pushes.get(clientId);
      if (keys !== undefined) within(untraced, () => pusher.offer(clientId, keys));
    }

    // Read after the transaction has ended, but for those that it set itself.
    const others = [...groups].filter(([key]) => !outcome.marks.has(key));
    const rows = await findMarks(
      database,
      others.map(([, { tag }]) => tag),
    );
    const read = new Map(rows.map(({ tag, mark }) => [toHex(tag), mark]));
    const marks = [...groups].map(([key, { groupId, tag }]) => ({
      groupId,
      mark: outcome.marks.get(key) ?? read.get(toHex(tag)) ?? firstPair,
    }));
    return encodeBusAnswer({ marks, gone: outcome.gone });
  }

  /** All that our own hub sends; of what others send, as much as the queues take at once. */
  async #admitted(
    source: Domain,
    groups: ReadonlyMap<string, Group>,
    opened: readonly OpenedEvent[],
  ): Promise<readonly OpenedEvent[]> {
    const { records, queueLimits, events } = this.#ports;
    if (queueLimits === undefined || records.isHere(source)) return opened;
    const admitted = await admit({ ...this.#ports, queueLimits }, source, groups, opened);
    events.limited(admitted.limited);
    return admitted.opened;
  }

  #groupsOf(source: Domain, events: readonly BusEvent[]): Map<string, Group> {
    const groups = new Map<string, Group>();
    for (const { groupId } of events) {
      const key = printId(groupId);
      if (groups.has(key)) continue;
      const tag = this.#ports.keys.markTag(source, groupId);
      groups.set(key, { groupId, tag, targets: new Map() });
    }
    return groups;
  }

  #open(event: BusEvent, groups: ReadonlyMap<string, Group>): OpenedEvent {
    const tag = printId(event.groupId);
    const group = groups.get(tag);
    if (event.kind !== 'event' || group === undefined) return { event, tag, deliveries: [] };
    try {
      return { event, tag, ...this.#openFanOut(event, group) };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return { event, tag, deliveries: undefined };
    }
  }

  #openFanOut(event: BusEvent, group: Group): Pick<OpenedEvent, 'deliveries' | 'trace'> {
    const { crypto, transportKey } = this.#ports;
    const fanOut = openFanOut(crypto, transportKey, event);
    if (fanOut === undefined) return { deliveries: undefined };
    const trace = fanOut.trace === undefined ? undefined : traceOf(fanOut.trace);
    return { trace, deliveries: this.#deliveriesOf(fanOut, group) };
  }

  #deliveriesOf(fanOut: FanOut, { groupId, targets }: Group): Delivery[] {
    const { crypto } = this.#ports;
    const bindingFor = binderOf(crypto, groupId);
    const targetOf = ({ handle, pushKey }: FanOut['recipients'][number]): Target => {
      const key = Buffer.from(handle.buffer, handle.byteOffset, handle.length).toString('latin1');
      const known = targets.get(key);
      if (known !== undefined) return known;
      const target = { handle, pushKey, hash: crypto.sha256(handle), binding: bindingFor(handle) };
      targets.set(key, target);
      return target;
    };
    const isSharedUsed = fanOut.recipients.some(({ extra }) => extra.length === 0);
    const shared = isSharedUsed ? this.#entryOf(groupId, fanOut.groupEvent) : undefined;
    return fanOut.recipients.map((recipient) => {
      const { extra } = recipient;
      const isShared = shared !== undefined && extra.length === 0;
      const entry = isShared ? shared : this.#entryOf(groupId, extra);
      return { target: targetOf(recipient), entry };
    });
  }

  #entryOf(groupId: GroupId, groupEvent: Uint8Array): Entry {
    const decoded = decodeGroupEvent(groupEvent);
    if (printId(decoded.groupId) !== printId(groupId)) {
      throw new Failure('MALFORMED', 'GroupEvent: it is of another group');
    }
    return this.#ports.writer.eventEntry(groupEvent, decoded.kind);
  }

  async #store(
    tx: Executor,
    source: Domain,
    groups: ReadonlyMap<string, Group>,
    opened: readonly OpenedEvent[],
  ): Promise<Outcome> {
    const [rows, found] = await Promise.all([
      findMarks(
        tx,
        [...groups.values()].map(({ tag }) => tag),
      ),
      this.#findTargets(tx, source, groups),
    ]);
    const { taken, moved } = decide(groups, opened, rows);
    const nowMs = this.#ports.clock.now();
    const { arrivals, unheard, gone, refused, pushes } = route(opened, taken, found, nowMs);
    const staged = await this.#ports.writer.stage(tx, arrivals, unheard);
    // One round trip for all that is written.
    const [isMoved] = await Promise.all([
      moveMarks(tx, [...moved.values()]),
      this.#ports.writer.write(tx, staged),
      this.#burySome(tx, groups, taken),
    ]);
    if (!isMoved) throw new MarksMoved();
    const stored = sizeOf(arrivals) - staged.lost;
    const counts = { stored, refused, lost: staged.lost, silenced: sizeOf(unheard) };
    return {
      counts,
      stored: staged.stored,
      arrivals,
      gone,
      pushes,
      marks: new Map([...moved].map(([key, { mark }]) => [key, mark])),
    };
  }

  async #findTargets(
    tx: Executor,
    source: Domain,
    groups: ReadonlyMap<string, Group>,
  ): Promise<ReadonlyMap<Target, FoundRecipient>> {
    const targets = [...groups.values()].flatMap((group) => [...group.targets.values()]);
    const found = new Map<Target, FoundRecipient>();
    if (targets.length === 0) return found;
    const hashes = targets.map(({ hash }) => hash);
    const bindings = targets.map(({ binding }) => binding);
    for (const row of await findRecipients(tx, hashes, bindings, source)) {
      const target = targets[Number(row.number) - 1];
      if (target !== undefined) found.set(target, row);
    }
    return found;
  }

  async #burySome(
    tx: Executor,
    groups: ReadonlyMap<string, Group>,
    taken: readonly OpenedEvent[],
  ): Promise<void> {
    const letters: DeadLetter[] = [];
    for (const { event, tag: key, deliveries } of taken) {
      const kind = deliveries === undefined ? 'undecodable' : event.kind;
      const group = groups.get(key);
      if (group === undefined || kind === 'event' || kind === 'head') continue;
      letters.push({ tag: group.tag, number: event.number, kind, sealed: event.sealed });
    }
    await bury(tx, letters, new Date(this.#ports.clock.now()));
    if (letters.length === 0) return;
    const gap = letters.filter(({ kind }) => kind === 'gap').length;
    this.#ports.events.buried({ undecodable: letters.length - gap, gap });
  }
}

function sizeOf(entries: ReadonlyMap<bigint, readonly Entry[]>): number {
  let size = 0;
  for (const each of entries.values()) size += each.length;
  return size;
}
