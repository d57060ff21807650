import { decodeRecord, encodeRecord } from './record.ts';
import type { Turn } from './ledger.ts';
import { groups } from './state.ts';
import type { Store } from './store.ts';
import { padded } from './task.ts';

/** A line of a chat as it is kept. */
export interface Line {
  /** `name@domain`. */
  readonly sender: string;
  readonly text: string;
  readonly atMs: number;
  readonly isOwn: boolean;
}

/** Lines are read in blocks of a thousand, which share all but three digits of their number. */
const BLOCK_DIGITS = 3;

/** Adds a line to the history of a chat. It is not kept in memory. */
export function addLine(turn: Turn, lane: string, line: Line): void {
  const group = turn.get(groups, lane);
  if (group === undefined) return;
  turn.append(`history/${lane}/${padded(group.lines)}`, encodeRecord(line));
  turn.put(groups, lane, { ...group, lines: group.lines + 1 });
}

/** The last lines of a chat that has so many. */
export async function lastLines(
  store: Store,
  lane: string,
  lines: number,
  count: number,
): Promise<Line[]> {
  const found: Line[] = [];
  const blockSize = 10 ** BLOCK_DIGITS;
  for (let block = Math.floor(lines / blockSize); block >= 0 && found.length < count; block--) {
    const prefix = padded(block * blockSize).slice(0, -BLOCK_DIGITS);
    const entries = await store.list(`history/${lane}/${prefix}`);
    found.unshift(...entries.map(({ value }) => decodeRecord<Line>(value)));
  }
  return found.slice(-count);
}
