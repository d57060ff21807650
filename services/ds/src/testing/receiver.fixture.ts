import {
  comparePairs,
  decodeBusBatch,
  encodeBusAnswer,
  firstPair,
  openFanOut,
} from '@roost/bus/frames';
import type { BusEvent, Pair } from '@roost/bus/frames';
import { decodeGroupEvent } from '@roost/bus/group-event';
import type { GroupEvent } from '@roost/bus/group-event';
import type { Bus, RequestOptions } from '@roost/bus/ports';
import { toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { GroupId, Uuid } from '@roost/core/ids';
import { nodeCrypto } from '@roost/crypto/node';

/** What the bus does to a batch, drawn for each. */
export type Weather = 'fine' | 'lost' | 'answer-lost' | 'repeated' | 'late';

/** A receiver by the rules of design §6, behind a bus that a test can make bad. */
export class TestReceiver implements Bus {
  readonly transportKey = nodeCrypto.random(32);
  weather: () => Weather = () => 'fine';
  isAway = false;
  /** By the hex of the handle, in order of arrival. */
  readonly queues = new Map<string, GroupEvent[]>();
  readonly marks = new Map<Uuid, Pair>();
  readonly gaps: { from: Pair; to: Pair }[] = [];
  readonly heads: Uuid[] = [];
  /** Groups that get nowhere, as if somebody else always were faster. */
  readonly stuck = new Set<Uuid>();
  /** Handles whose queues are gone, in hex. */
  readonly gone = new Set<string>();
  /** What arrived, over all queues. */
  readonly arrivals: { id: Uuid; handle: string; event: GroupEvent }[] = [];
  /** What it says besides of queues that are gone, true or not. */
  readonly claims: { groupId: GroupId; handle: Uint8Array }[] = [];
  #late: Uint8Array[] = [];
  #gone: { groupId: GroupId; handle: Uint8Array }[] = [];

  async request(_: number, batch: Uint8Array, { signal }: RequestOptions): Promise<Uint8Array> {
    await new Promise((resolve) => setImmediate(resolve));
    const weather = this.isAway || signal?.aborted === true ? 'lost' : this.weather();
    if (weather === 'lost') throw new Failure('UNAVAILABLE', 'bus: lost');
    if (weather === 'late') {
      this.#late.push(Uint8Array.from(batch));
      throw new Failure('UNAVAILABLE', 'bus: late');
    }
    // Batches that were given up arrive before and after this one, in another order.
    for (const old of this.#late.splice(0).toReversed()) this.#receive(old);
    if (weather === 'repeated') this.#receive(batch);
    const answer = this.#receive(batch);
    if (weather === 'answer-lost') throw new Failure('UNAVAILABLE', 'bus: answer lost');
    return answer;
  }

  serve(): { close(): Promise<void> } {
    throw new Error('this bus has its receiver');
  }

  queueOf(handle: Uint8Array): GroupEvent[] {
    return this.queues.get(toHex(handle)) ?? [];
  }

  markOf(id: Uuid): Pair {
    return this.marks.get(id) ?? firstPair;
  }

  #receive(batch: Uint8Array): Uint8Array {
    const { events } = decodeBusBatch(batch);
    const groups = new Map(events.map(({ groupId }) => [groupId.uuid, groupId]));
    for (const event of events) this.#take(event);
    const marks = [...groups].map(([id, groupId]) => ({ groupId, mark: this.markOf(id) }));
    const gone = [...this.#gone.splice(0), ...this.claims];
    return encodeBusAnswer({ marks, gone });
  }

  #take(event: BusEvent): void {
    const { kind, groupId, number, prev, sealed } = event;
    const mark = this.markOf(groupId.uuid);
    if (this.stuck.has(groupId.uuid)) return;
    if (kind === 'head') {
      this.heads.push(groupId.uuid);
      return;
    }
    if (kind === 'gap') {
      if (comparePairs(prev, mark) !== 0 || comparePairs(mark, number) >= 0) return;
      this.gaps.push({ from: prev, to: number });
      this.marks.set(groupId.uuid, number);
      return;
    }
    if (comparePairs(prev, mark) > 0 || comparePairs(mark, number) >= 0) return;
    const fanOut = openFanOut(nodeCrypto, this.transportKey, { groupId, number, prev, sealed });
    if (fanOut === undefined) throw new Error('a fan-out does not open');
    for (const { handle, extra } of fanOut.recipients) {
      if (this.gone.has(toHex(handle))) {
        this.#gone.push({ groupId, handle });
        continue;
      }
      const own = decodeGroupEvent(extra.length > 0 ? extra : fanOut.groupEvent);
      this.queues.set(toHex(handle), [...this.queueOf(handle), own]);
      this.arrivals.push({ id: groupId.uuid, handle: toHex(handle), event: own });
    }
    this.marks.set(groupId.uuid, number);
  }
}
