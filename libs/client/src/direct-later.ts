import { DAY_MS } from '@roost/core/time';
import type { Section } from '@roost/proto/roost/authentication/v1/authentication';
import type { Core } from './core.ts';
import { openDirect, receiveDirect } from './direct.ts';
import type { Outcome } from './lanes.ts';
import type { Turn } from './ledger.ts';
import { numbered, type Task, tasks } from './task.ts';

/** Whoever names a homeserver that never answers must not fill the store. */
const WAITING_MAX = 64;
const KEPT_MS = 7 * DAY_MS;
const LANE = 'direct';

/** Keeps a direct message until its sender's homeserver was asked for its keys; each in a lane of its own. */
export function openLater(core: Core, turn: Turn, sections: readonly Section[]): void {
  if (turn.list(tasks, `${LANE}/`).length >= WAITING_MAX) return;
  const lane = `${LANE}/${numbered(turn, LANE)}`;
  core.lanes.submit(turn, lane, { kind: 'open', sections, sinceMs: core.clock.now() });
}

/** Opens a direct message that waited. What is forged never gets better. */
export async function performOpen(
  core: Core,
  key: string,
  { sections, sinceMs }: Task & { kind: 'open' },
): Promise<Outcome> {
  if (core.clock.now() - sinceMs > KEPT_MS) {
    await core.ledger.turn((turn) => core.lanes.finish(turn, key));
    return 'on';
  }
  const opened = await core.trust.judge(() => openDirect(core, sections));
  await core.ledger.turn((turn) => {
    receiveDirect(core, turn, opened);
    core.lanes.finish(turn, key);
  });
  return 'on';
}
