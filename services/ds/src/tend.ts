import type { Uuid } from '@roost/core/ids';
import { MINUTE_MS, monthOf } from '@roost/core/time';
import { LRUCache } from 'lru-cache';
import { change } from './desk.ts';
import type { Desk } from './desk.ts';
import { isAnybodyAway } from './domain/due.ts';
import { withMember } from './domain/roster.ts';
import type { Ear } from './ear.ts';
import { toOthers } from './fan-out.ts';
import { groupWithPending } from './pending.ts';
import { accept } from './proposing.ts';
import type { GroupRow } from './store/groups.ts';
import { dueNow, inactiveBeforeOf } from './tending.ts';
import type { MemberView } from './vault.ts';

/** Remembers for a while where nothing could be done, so that not every request looks again. */
export class Calm {
  readonly #groups = new LRUCache<Uuid, { readonly version: bigint; readonly untilMs: number }>({
    max: GROUPS_MAX,
  });

  isAt({ id, rosterVersion }: GroupRow, now: number): boolean {
    const kept = this.#groups.get(id);
    return kept !== undefined && kept.version === rosterVersion && now < kept.untilMs;
  }

  note({ id, rosterVersion }: GroupRow, now: number): void {
    this.#groups.set(id, { version: rosterVersion, untilMs: now + CALM_MS });
  }
}

const GROUPS_MAX = 10_000;
const CALM_MS = 10 * MINUTE_MS;

/** Whether a request of this member leaves something to be done by the hub. */
export function isDue(desk: Desk, { row, roster, member }: MemberView): boolean {
  const now = desk.clock.now();
  if (member.activeMonth !== monthOf(now)) return true;
  const seemsDue = row.hasDead || isAnybodyAway(roster, inactiveBeforeOf(desk, now));
  return seemsDue && !desk.calm.isAt(row, now);
}

/**
 * What the hub does about a group once somebody showed to be alive in it: it notes the month, and
 * proposes to remove whose queue is gone and who was away for too long. Behind the request, whose
 * answer does not depend on it: what fails here is done with the next one.
 */
export async function tend(desk: Desk, ear: Ear, key: Uint8Array): Promise<void> {
  await change(desk, ear, async (tx) => {
    const view = await desk.vault.lockAsMember(tx, ear, key);
    const { row, roster, member } = view;
    const now = desk.clock.now();
    if (roster.isFrozen || member.isLeaving) return { response: undefined };
    const group = await groupWithPending(desk, tx, view);
    const acceptedAtMs = BigInt(now);
    const actor = member.leafIndex;
    const { events } = await dueNow(desk, tx, { ear, row, group, roster, actor, acceptedAtMs });
    const month = monthOf(now);
    if (events.length === 0 && member.activeMonth === month) {
      return { response: undefined, keep: () => desk.calm.note(row, now) };
    }
    const recipients = toOthers(roster.members, undefined);
    const deliveries = events.map((groupEvent) => ({ recipients, groupEvent }));
    const next = withMember(roster, { ...member, activeMonth: month });
    const accepted = await accept(desk, tx, { ear, row, roster: next, deliveries, acceptedAtMs });
    return { response: undefined, ...accepted };
  }).catch(desk.events.tendingFailed);
}
