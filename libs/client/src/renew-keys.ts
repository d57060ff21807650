import { DAY_MS } from '@roost/core/time';
import type { Core } from './core.ts';
import { groups } from './state.ts';

/** Some of the months in which a hub takes whoever does nothing for gone. */
const RENEW_MS = 30 * DAY_MS;
/** So that whoever comes back after a month does not commit to everything at once. */
const GROUPS_MAX = 20;

/**
 * Renews the keys of our leaves once a month: what somebody stole of them is worth nothing after it
 * (RFC 9420 §16.6), and the hubs see that we are still there.
 */
export async function renewKeys(core: Core): Promise<void> {
  const nowMs = core.clock.now();
  const isDue = (renewedMs: number | undefined): boolean =>
    renewedMs === undefined || renewedMs + RENEW_MS <= nowMs;
  const due = core.ledger
    .list(groups)
    .filter(([, group]) => group.standing === 'active' && isDue(group.renewedMs));
  if (due.length === 0) return;
  await core.ledger.turn((turn) => {
    for (const [lane] of due.slice(0, GROUPS_MAX)) {
      const group = turn.get(groups, lane);
      if (group?.standing !== 'active' || !isDue(group.renewedMs)) continue;
      turn.put(groups, lane, { ...group, renewedMs: nowMs });
      // What was only just entered has fresh keys.
      if (group.renewedMs === undefined || group.isLeaving) continue;
      core.lanes.submit(turn, lane, { kind: 'commit', change: { kind: 'update' } });
    }
  });
}
