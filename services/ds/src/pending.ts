import { decodeGroupEvent } from '@roost/bus/group-event';
import { assert } from '@roost/core/assert';
import { parseHandshake } from '@roost/mls/message';
import { merge } from '@roost/mls/public-group';
import type { PublicGroup } from '@roost/mls/public-group';
import { stageProposal } from '@roost/mls/stage';
import type { Executor } from '@roost/postgres/executor';
import type { Desk } from './desk.ts';
import type { Ear } from './ear.ts';
import { readLog } from './store/log.ts';
import type { LogEntry } from './store/log.ts';
import type { Opened } from './vault.ts';

/** The public group of the current epoch with the proposals that wait in the log. */
export async function groupWithPending(
  desk: Desk,
  tx: Executor,
  { ear, row, roster }: Opened,
): Promise<PublicGroup> {
  const state = await desk.vault.state(tx, ear, row);
  if (roster.pending === 0) return state;
  const entries = await readLog(tx, row.id, row.epoch, row.epoch);
  let group = state;
  for (const entry of entries) {
    const event = decodeGroupEvent(openEntry(ear, entry));
    assert(event.kind === 'proposal', 'the log of the current epoch has proposals only');
    const message = parseHandshake(event.mlsMessage);
    assert(message.kind === 'proposal', 'a logged proposal is one');
    group = merge(stageProposal(group, message, desk.clock.now()));
  }
  return group;
}

/** A GroupEvent of the log, as it was fanned out. */
export function openEntry(ear: Ear, { epoch, position, sealed }: LogEntry): Uint8Array {
  const event = ear.open({ kind: 'log', epoch, position }, sealed);
  assert(event !== undefined, 'the key that opens the roster opens the log');
  return event;
}
