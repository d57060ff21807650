import { firstPair, type BusEvent, type Gone, type Pair } from '@roost/bus/frames';
import { takes } from '@roost/bus/numbering';
import type { Trace } from '@roost/bus/trace';
import { toHex } from '@roost/core/bytes';
import type { GroupId } from '@roost/core/ids';
import { tells } from './domain/rule.ts';
import type { Entry } from './queue-writer.ts';
import type { PushKeys } from './pusher.ts';
import { ruleOf, STATE, type findRecipients } from './store/handles.ts';
import type { MovedMark } from './store/marks.ts';

/** A handle that a group delivers to: looked up once a batch, however many events are for it. */
export interface Target {
  readonly handle: Uint8Array;
  readonly hash: Uint8Array;
  readonly binding: Uint8Array;
  /** Opens where pushes go, for this handle. */
  readonly pushKey: Uint8Array;
}

/** One recipient of one event, and what to store for it. */
export interface Delivery {
  readonly target: Target;
  readonly entry: Entry;
}

export interface OpenedEvent {
  readonly event: BusEvent;
  readonly tag: string;
  /** Where it is shown, if it is. */
  readonly trace?: Trace | undefined;
  /** `undefined` where it does not decode. */
  readonly deliveries: readonly Delivery[] | undefined;
}

export interface Group {
  readonly groupId: GroupId;
  readonly tag: Uint8Array;
  /** By the handle's bytes as latin1 text. */
  readonly targets: Map<string, Target>;
}

export type FoundRecipient = Awaited<ReturnType<typeof findRecipients>>[number];

/** Which events are taken, in order, and where that leaves the marks. */
export function decide(
  groups: ReadonlyMap<string, Group>,
  opened: readonly OpenedEvent[],
  rows: readonly { readonly tag: Uint8Array; readonly mark: Pair }[],
) {
  const read = new Map(rows.map(({ tag, mark }) => [toHex(tag), mark]));
  const moved = new Map<string, MovedMark>();
  const taken: OpenedEvent[] = [];
  for (const each of opened) {
    const group = groups.get(each.tag);
    if (group === undefined) continue;
    const before = moved.get(each.tag);
    const from = before?.from ?? read.get(toHex(group.tag)) ?? firstPair;
    if (!takes(before?.mark ?? from, each.event)) continue;
    moved.set(each.tag, { tag: group.tag, from, mark: each.event.number });
    taken.push(each);
  }
  return { taken, moved };
}

/**
 * What goes into which queue. Only the true hub hears of a deleted client; a silenced handle answers
 * as a delivery does: what is for it is `unheard`, worked on like the rest and not kept. What is gone is told with every repetition, as an answer can be lost.
 */
export function route(
  opened: readonly OpenedEvent[],
  taken: readonly OpenedEvent[],
  found: ReadonlyMap<Target, FoundRecipient>,
  nowMs: number,
) {
  const isTaken = new Set(taken);
  const arrivals = new Map<bigint, Entry[]>();
  const unheard = new Map<bigint, Entry[]>();
  const gone: Gone[] = [];
  const pushes = new Map<bigint, PushKeys>();
  let refused = 0;
  for (const each of opened) {
    for (const { target, entry } of each.deliveries ?? []) {
      const row = found.get(target);
      if (row?.isBound !== true) {
        refused++;
      } else if (row.state === STATE.gone) {
        gone.push({ groupId: each.event.groupId, handle: target.handle });
      } else if (row.clientId !== null && isTaken.has(each)) {
        const into = row.state === STATE.active ? arrivals : unheard;
        const entries = into.get(row.clientId);
        if (entries === undefined) into.set(row.clientId, [entry]);
        else entries.push(entry);
        const keys = entry.isTold && into === arrivals ? pushKeysOf(target, row, nowMs) : undefined;
        if (keys !== undefined) pushes.set(row.clientId, keys);
      }
    }
  }
  return { arrivals, unheard, gone, refused, pushes };
}

/** How a push for a delivery by this handle is opened, where its rule lets one tell of it. */
function pushKeysOf(
  { hash, pushKey }: Target,
  row: FoundRecipient,
  nowMs: number,
): PushKeys | undefined {
  if (row.pushWrap === null || !tells(ruleOf(row), nowMs)) return undefined;
  return { handleHash: hash, pushKey, wrapped: row.pushWrap };
}
