import { commitProposals } from './commits.ts';
import type { Core } from './core.ts';
import type { Outcome } from './lanes.ts';
import { performDelete } from './leave.ts';
import { groups, states } from './state.ts';
import { isUnsettled } from './tidy.ts';

/** Lets all others go who want to, and deletes the group when nobody else is left. */
export async function performDisband(core: Core, lane: string, key: string): Promise<Outcome> {
  const [group, state] = [core.ledger.get(groups, lane), core.ledger.get(states, lane)];
  const isAlone = group?.standing !== 'active' || group.members.length < 2;
  if (isAlone || state === undefined) return performDelete(core, lane, key);
  if (!isUnsettled(state)) return 'blocked';
  await core.ledger.turn((turn) => commitProposals(core, turn, group));
  return 'on';
}
