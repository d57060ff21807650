import { Failure } from '@roost/core/failure';
import { printId } from '@roost/core/ids';
import type { Core } from './core.ts';
import { isShared } from './handles.ts';
import type { Turn } from './ledger.ts';
import { earlyEvents, type Group, groups, nextStates, pendingCommits, states } from './state.ts';
import { tasks } from './task.ts';

/** Commits may be missing in a group: its log is read before anything else is done there. */
export function markBehind(core: Core, turn: Turn, lane: string): void {
  const group = turn.get(groups, lane);
  if (group?.standing !== 'active') return;
  turn.put(groups, lane, { ...group, isBehind: true });
  if (turn.list(tasks, `${lane}/`).length > 0) turn.after(() => core.lanes.wake(lane));
  else core.lanes.submit(turn, lane, { kind: 'catch-up' });
}

/** Events may be missing in any group: each reads its log before it goes on. */
export function behind(core: Core, turn: Turn): void {
  for (const [lane] of turn.list(groups)) markBehind(core, turn, lane);
}

/** Forgets a commit of ours that lost; its task makes another. */
export function dropPending(turn: Turn, lane: string): void {
  turn.delete(pendingCommits, lane);
  turn.delete(nextStates, lane);
}

/** We are out of a group, whoever saw to it. */
export function end(core: Core, turn: Turn, group: Group, by: string | undefined): void {
  const lane = printId(group.id);
  if (group.standing === 'gone') return;
  dropPending(turn, lane);
  turn.delete(states, lane);
  for (const [key] of turn.list(earlyEvents, `${lane}/`)) turn.delete(earlyEvents, key);
  turn.put(groups, lane, { ...group, standing: 'gone', members: [], isBehind: false });
  for (const [key, task] of turn.list(tasks, `${lane}/`)) {
    if (task.kind === 'release') continue;
    const gone = new Failure('GROUP_UNKNOWN', 'you are not in this group any more');
    core.lanes.fail(turn, key, gone);
    if (task.kind !== 'send' || task.text === undefined) continue;
    core.news.put(turn, { kind: 'failed', chat: lane, sentence: gone.message, text: task.text });
  }
  const { handle } = group.leaf;
  // Of a conversation that was deleted nobody can tell.
  if (!isShared(turn, lane, handle) && group.isForgotten !== true) {
    core.lanes.submit(turn, lane, { kind: 'release', handle, isSilenced: false });
  }
  const { title } = group;
  // Who left said so already.
  if (group.isLeaving) return;
  core.news.put(turn, { kind: 'gone', chat: lane, title, ...(by === undefined ? {} : { by }) });
}
