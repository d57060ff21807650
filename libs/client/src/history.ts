import { decodeRecord, encodeRecord } from './record.ts';
import type { Turn } from './ledger.ts';
import { groups } from './state.ts';
import type { Store } from './store.ts';
import { padded } from './task.ts';

/** A line of a chat as it is kept. */
export interface Line {
  /** The message's; lines of earlier versions have none. */
  readonly id?: string;
  /** `name@domain`. */
  readonly sender: string;
  readonly text: string;
  readonly atMs: number;
  readonly isOwn: boolean;
  /** Its text is not kept any more. */
  readonly isDeleted?: boolean;
}

/** Somebody's wish that a line be deleted, and whether it counts for lines of others too. */
export interface Deletion {
  readonly by: string;
  readonly isOfOthers: boolean;
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

/** Deletes a line of a chat, if whoever wants it wrote it or may delete those of others. */
export function addDeletion(turn: Turn, lane: string, id: string, deletion: Deletion): void {
  turn.append(`deleted/${lane}/${id}/${deletion.by}`, encodeRecord(deletion));
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
  return masked(store, lane, found.slice(-count));
}

async function masked(store: Store, lane: string, lines: readonly Line[]): Promise<Line[]> {
  const deletions = new Map<string, Deletion[]>();
  for (const { key, value } of await store.list(`deleted/${lane}/`)) {
    const id = key.slice(`deleted/${lane}/`.length).split('/')[0] ?? '';
    deletions.set(id, [...(deletions.get(id) ?? []), decodeRecord<Deletion>(value)]);
  }
  return lines.map((line) => {
    const wanted = line.id === undefined ? [] : (deletions.get(line.id) ?? []);
    const isDeleted = wanted.some(({ by, isOfOthers }) => isOfOthers || by === line.sender);
    return isDeleted ? { ...line, text: '', isDeleted } : line;
  });
}
