import type { Executor } from '@roost/postgres/executor';
import type { Desk } from './desk.ts';
import { cutPage, isWhole, pageStart } from './domain/log-page.ts';
import { openEntry } from './pending.ts';
import { LOG_ROWS_MAX, listLog, readLog } from './store/log.ts';
import type { MemberView } from './vault.ts';

export interface LogPage {
  /** GroupEvents, with the epochs that they were made in. */
  readonly events: readonly { readonly epoch: bigint; readonly event: Uint8Array }[];
  readonly hasMore: boolean;
}

/**
 * What a member missed from an epoch on, but never of before it joined; `undefined` where the log
 * does not reach back so far any more.
 */
export async function logPage(
  { config }: Desk,
  tx: Executor,
  { ear, row, member }: MemberView,
  fromEpoch: bigint,
): Promise<LogPage | undefined> {
  const from = pageStart(fromEpoch, member.joinedEpoch);
  const listed = await listLog(tx, row.id, from);
  if (!isWhole(listed, from, row.epoch)) return undefined;
  const isListCut = listed.length === LOG_ROWS_MAX;
  const { rows, hasMore } = cutPage(listed, config.limits.pageBytesMax, isListCut);
  const last = rows.at(-1);
  if (last === undefined) return { events: [], hasMore: false };
  const entries = await readLog(tx, row.id, from, last.epoch);
  const events = entries.map((entry) => ({ epoch: entry.epoch, event: openEntry(ear, entry) }));
  return { events, hasMore };
}
