import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import { BadCommitKind } from '@roost/proto/roost/delivery/v1/delivery';
import type { Core } from './core.ts';
import type { Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { reportBadCommit } from './report.ts';
import { dropPending, end } from './standing.ts';
import { type Group, groups } from './state.ts';
import { type Task, tasks } from './task.ts';

/**
 * The hub let a commit pass that the room's policy is against. We stay where we were before it: what
 * follows in that group is for others, and we send nothing there.
 */
export function markAtOdds(
  core: Core,
  turn: Turn,
  group: Group,
  odds: { readonly epoch: bigint; readonly sentence: string },
): void {
  const lane = printId(group.id);
  dropPending(turn, lane);
  turn.put(groups, lane, { ...group, isBehind: false, atOdds: { ...odds, isReported: false } });
  core.news.put(turn, { kind: 'at-odds', chat: lane, sentence: odds.sentence });
  if (turn.list(tasks, `${lane}/`).length > 0) turn.after(() => core.lanes.wake(lane));
  else core.lanes.submit(turn, lane, { kind: 'catch-up' });
}

/** In a group that is at odds with its hub we tell the hub, and leave; nothing else is done. */
export async function performAtOdds(
  core: Core,
  group: Group,
  key: string,
  task: Task,
): Promise<Outcome> {
  const { atOdds } = group;
  if (atOdds?.isReported === false) {
    await report(core, group, atOdds.epoch);
    return 'on';
  }
  switch (task.kind) {
    case 'leave':
    case 'delete':
    case 'disband':
      await core.ledger.turn((turn) => {
        core.lanes.finish(turn, key);
        end(core, turn, { ...group, isLeaving: true }, undefined);
      });
      return 'on';
    case 'catch-up':
      await core.ledger.turn((turn) => core.lanes.finish(turn, key));
      return 'on';
    default:
      throw atOddsFailure();
  }
}

export function atOddsFailure(): Failure {
  return new Failure(
    'NOT_ALLOWED',
    'the homeserver changed this group against its rules; leave it, nothing is sent there',
  );
}

async function report(core: Core, group: Group, epoch: bigint): Promise<void> {
  const lane = printId(group.id);
  await reportBadCommit(core, group, { epoch, kind: BadCommitKind.POLICY });
  await core.ledger.turn((turn) => {
    const now = turn.get(groups, lane);
    if (now?.atOdds === undefined) return;
    turn.put(groups, lane, { ...now, atOdds: { ...now.atOdds, isReported: true } });
  });
}
