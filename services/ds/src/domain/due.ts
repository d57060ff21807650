import { Failure } from '@roost/core/failure';
import type { Removal } from '@roost/mls/authorize-commit';
import { authorizeRemoval } from '@roost/mls/authorize-proposal';
import type { Waiting } from '@roost/mls/authorize-proposal';
import { rosterOf } from './roster.ts';
import type { Member, Roster } from './roster.ts';

/** What the hub looks at before it proposes that somebody be removed. */
export interface Watch {
  readonly roster: Roster;
  /** The room, and what waits for a commit already. */
  readonly waiting: Waiting;
  /** Leaves whose queues are gone. */
  readonly dead: ReadonlySet<number>;
  /** Who just showed to be alive. */
  readonly actor: number;
  /** Who was last active before this month is as good as gone. */
  readonly inactiveBefore: number;
}

/** More are proposed with the next request. */
export const REMOVALS_MAX = 32;

/** Whether anybody was away for too long: what is asked with each message. */
export function isAnybodyAway(roster: Roster, inactiveBefore: number): boolean {
  const known = longest.get(roster);
  const since = known ?? Math.min(...roster.members.map(({ activeMonth }) => activeMonth));
  if (known === undefined) longest.set(roster, since);
  return since < inactiveBefore;
}

/** Since when whoever is away the longest is. */
const longest = new WeakMap<Roster, number>();

/**
 * The leaves whose removal the hub proposes: of dead queues, of those who were away for too long, and
 * of those who are leaving and whose own proposal ended with its epoch. Only where the room's policy
 * lets the hub do it, by what else waits.
 */
export function dueRemovals(watch: Watch): number[] {
  const { roster, waiting } = watch;
  const pending = new Map(waiting.pending.map((removal) => [removal.leafIndex, removal]));
  const due: number[] = [];
  // Whoever wants to go is not kept waiting by the dead.
  const members = roster.members.toSorted((a, b) => Number(b.isLeaving) - Number(a.isLeaving));
  for (const member of members) {
    const { leafIndex } = member;
    if (due.length === REMOVALS_MAX || pending.has(leafIndex) || !isDue(watch, member)) continue;
    const removal: Removal = { leafIndex, by: { who: 'hub', form: 'external' } };
    if (!isAllowed({ ...waiting, pending: [...pending.values()] }, removal)) continue;
    pending.set(leafIndex, removal);
    due.push(leafIndex);
  }
  return due;
}

function isDue({ dead, actor, inactiveBefore }: Watch, member: Member): boolean {
  if (member.leafIndex === actor) return false;
  return member.isLeaving || dead.has(member.leafIndex) || member.activeMonth < inactiveBefore;
}

function isAllowed(waiting: Waiting, removal: Removal): boolean {
  try {
    authorizeRemoval(waiting, removal);
    return true;
  } catch (error) {
    if (error instanceof Failure && error.reason === 'NOT_ALLOWED') return false;
    throw error;
  }
}

/**
 * The roster of an epoch that began with these removals proposed: whoever was leaving and is not among
 * them may propose it again itself.
 */
export function withLeavers(roster: Roster, proposed: readonly number[]): Roster {
  const isKept = ({ isLeaving, leafIndex }: Member): boolean =>
    !isLeaving || proposed.includes(leafIndex);
  if (roster.members.every(isKept)) return roster;
  const members = roster.members.map((member) =>
    isKept(member) ? member : { ...member, isLeaving: false },
  );
  return rosterOf(members, roster);
}
