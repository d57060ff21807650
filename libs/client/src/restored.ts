import { equal } from '@roost/core/bytes';
import type { Core } from './core.ts';
import type { Turn } from './ledger.ts';
import { SETTINGS_LANE } from './settings.ts';
import { markBehind } from './standing.ts';
import { type AppliedCommit, type Group, groups } from './state.ts';
import { tasks } from './task.ts';

/**
 * A homeserver that was restored from a backup knows nothing of what we did since. Its hub has groups at
 * epochs that we have left, where others may have gone another way since; its QS has friendship tokens
 * and handles of then, and queues that go on far behind what they gave out.
 */

/** No queue gives out so many while nobody reads. */
const RESTORED_JUMP = 1n << 26n;

export function isRestoredJump(from: bigint, to: bigint): boolean {
  return to - from >= RESTORED_JUMP;
}

/** Looks through every group for another history than ours, and says again what the QS is to know. */
export function afterRestore(core: Core, turn: Turn): void {
  for (const [lane, group] of turn.list(groups)) {
    const last = group.commits?.at(-1);
    if (last !== undefined) suspect(core, turn, lane, last.epoch);
  }
  const planned = new Set(turn.list(tasks, `${SETTINGS_LANE}/`).map(([, { kind }]) => kind));
  for (const kind of ['handles', 'tokens'] as const) {
    if (!planned.has(kind)) core.lanes.submit(turn, SETTINGS_LANE, { kind });
  }
}

/** The hub may have another commit of this epoch than ours: its log tells. */
export function suspect(core: Core, turn: Turn, lane: string, epoch: bigint): void {
  const group = turn.get(groups, lane);
  if (group?.standing !== 'active') return;
  const suspectEpoch =
    group.suspectEpoch !== undefined && group.suspectEpoch < epoch ? group.suspectEpoch : epoch;
  turn.put(groups, lane, { ...group, suspectEpoch });
  markBehind(core, turn, lane);
}

/** What a group knows of its commits once this one was applied. */
export function withCommit(
  { crypto }: Core,
  { commits = [] }: Group,
  epoch: bigint,
  commit: Uint8Array,
): readonly AppliedCommit[] {
  const before = commits.filter((each) => each.epoch < epoch);
  return [...before, { epoch, hash: crypto.sha256(commit) }].slice(-COMMITS_MAX);
}

/** Whether we applied another commit in an epoch than this one. */
export function isOther(
  { crypto }: Core,
  group: Group,
  epoch: bigint,
  commit: Uint8Array,
): boolean {
  const applied = group.commits?.find((each) => each.epoch === epoch);
  return applied !== undefined && !equal(applied.hash, crypto.sha256(commit));
}

const COMMITS_MAX = 32;
