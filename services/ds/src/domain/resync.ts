import { Failure } from '@roost/core/failure';
import { DAY_MS } from '@roost/core/time';
import { rosterOf } from './roster.ts';
import type { Member, QueueConfig, Roster } from './roster.ts';

/** Where a member is after it came back by an external commit. */
export interface Returned {
  readonly leafIndex: number;
  readonly queue: QueueConfig;
  /** The epoch that begins: nothing older is of use to it, whose secrets are gone. */
  readonly epoch: bigint;
  readonly resyncs: Member['resyncs'];
}

/** The roster once a member came back. Who is leaving is leaving still; the secret is not used up. */
export function rosterAfterResync(
  roster: Roster,
  member: Member,
  { leafIndex, queue, epoch, resyncs }: Returned,
): Roster {
  const others = roster.members.filter((each) => each.leafIndex !== member.leafIndex);
  const back = { ...member, leafIndex, queue, joinedEpoch: epoch, hasCommitted: true, resyncs };
  return rosterOf([...others, back], { ...roster, pending: 0 });
}

/** One resync more; refuses where they are too many for one day, which ends for all at once. */
export function countResync(
  { day, count }: Member['resyncs'],
  now: number,
  perDay: number,
): Member['resyncs'] {
  const today = Math.floor(now / DAY_MS);
  if (day !== today) return { day: today, count: 1 };
  if (count < perDay) return { day, count: count + 1 };
  throw new Failure('RATE_LIMITED', `a client comes back by itself ${perDay} times a day at most`, {
    retryAfterMs: (today + 1) * DAY_MS - now,
  });
}
