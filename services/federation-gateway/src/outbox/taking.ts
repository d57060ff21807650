import { type BusEvent, firstPair, type Pair } from '@roost/bus/frames';
import { isBefore, takes } from '@roost/bus/numbering';
import type { Uuid } from '@roost/core/ids';

import type { OutboxRow } from './store/rows.ts';

/** Where we stand with a group of a destination. */
export interface Standing {
  readonly mark: Pair;
  readonly toldMs: number;
}

/** A mark that goes on; from where it was read to where it leads. */
export interface Move extends Standing {
  readonly id: Uuid;
  readonly from: Pair;
}

/** So often at most a group that is quiet makes us tell its last number: the DS tells us more often. */
export const HEADS_MS = 24 * 3_600_000;

/**
 * What is kept of a batch, in order, and where that leads the marks. A gap is kept as a head, whose destination then hears
 * what is missing from the mark that it has itself; a head that the DS tells is passed on where nothing else was lately.
 */
export function take(
  standings: ReadonlyMap<Uuid, Standing>,
  events: readonly BusEvent[],
  nowMs: number,
): { readonly rows: readonly OutboxRow[]; readonly moves: readonly Move[] } {
  const rows: OutboxRow[] = [];
  const moves = new Map<Uuid, Move>();
  for (const event of events) {
    const id = event.groupId.uuid;
    const read = standings.get(id) ?? UNKNOWN;
    const { mark, toldMs } = moves.get(id) ?? read;
    if (takes(mark, event)) {
      const { kind, number, prev, sealed } = event;
      rows.push(kind === 'event' ? { id, kind, number, prev, sealed } : headAt(id, number));
      moves.set(id, { id, from: read.mark, mark: number, toldMs: nowMs });
    } else if (event.kind === 'head' && isBefore(firstPair, mark) && nowMs - toldMs >= HEADS_MS) {
      rows.push(headAt(id, mark));
      moves.set(id, { id, from: read.mark, mark, toldMs: nowMs });
    }
  }
  return { rows, moves: [...moves.values()] };
}

function headAt(id: Uuid, number: Pair): OutboxRow {
  return { id, kind: 'head', number, prev: number, sealed: NOTHING };
}

const NOTHING = new Uint8Array(0);
const UNKNOWN: Standing = { mark: firstPair, toldMs: 0 };
