import { Failure } from '@roost/core/failure';
import { assertNotFrozen } from './domain/roster.ts';
import type { MemberView } from './vault.ts';

/** Refuses whoever may read still, and change nothing any more. */
export function assertHeard({ roster, member }: MemberView): void {
  assertNotFrozen(roster);
  if (member.isLeaving) throw new Failure('NOT_ALLOWED', 'whoever leaves is heard no more');
}
