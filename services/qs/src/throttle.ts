import { comparePairs, type Pair } from '@roost/bus/frames';
import type { Domain } from '@roost/core/ids';
import type { Database } from '@roost/postgres/database';
import { decide, type Group, type OpenedEvent, type Target } from './deliveries.ts';
import type { SecretKeys } from './keys.ts';
import type { QueueLimits } from './queue-limits.ts';
import { findMarks } from './store/marks.ts';

export interface ThrottlePorts {
  readonly database: Database;
  readonly keys: Pick<SecretKeys, 'limitTag'>;
  readonly queueLimits: QueueLimits;
}

export interface Admitted {
  readonly opened: readonly OpenedEvent[];
  /** Deliveries that have to come again later. */
  readonly limited: number;
}

/** Of a group at once: less than the bucket of a queue holds, or it would never be enough. */
const TURN_EVENTS_MAX = 64;

/**
 * What of another hub's batch may be stored now. A group stops at the first event for a queue that has had
 * enough; its mark stays there, and the hub comes back with the rest. What a queue's owner did with it (silenced,
 * deleted, bound it elsewhere) changes nothing here: nobody can find it out.
 */
export async function admit(
  ports: ThrottlePorts,
  source: Domain,
  groups: ReadonlyMap<string, Group>,
  opened: readonly OpenedEvent[],
): Promise<Admitted> {
  const tags = [...groups.values()].map(({ tag }) => tag);
  // What was stored already is not counted again.
  const { taken } = decide(groups, opened, await findMarks(ports.database, tags));
  const turns = [...Map.groupBy(taken, ({ tag }) => tag)].map(([tag, events]) => {
    const turn = events.slice(0, TURN_EVENTS_MAX);
    return { tag, turn, rest: events[TURN_EVENTS_MAX], costs: costsOf(turn) };
  });
  const shares = turns.flatMap(({ costs }) =>
    [...costs].map(([{ handle }, cost]) => ({ tag: ports.keys.limitTag(handle), cost })),
  );
  if (shares.length === 0) return { opened, limited: 0 };
  const granted = await ports.queueLimits.take(source, shares);

  const ends = new Map<string, Pair>();
  let at = 0;
  for (const { tag, turn, rest, costs } of turns) {
    const full = new Set([...costs.keys()].filter(() => granted[at++] !== true));
    const end = turn.find(({ deliveries = [] }) => deliveries.some((d) => full.has(d.target)));
    const stop = end ?? rest;
    if (stop !== undefined) ends.set(tag, stop.event.number);
  }
  const isIn = ({ tag, event }: OpenedEvent): boolean => {
    const end = ends.get(tag);
    return end === undefined || comparePairs(event.number, end) < 0;
  };
  const out = opened.filter((each) => !isIn(each));
  return { opened: opened.filter(isIn), limited: deliveriesOf(out) };
}

function costsOf(events: readonly OpenedEvent[]): Map<Target, number> {
  const costs = new Map<Target, number>();
  for (const { deliveries = [] } of events) {
    for (const { target } of deliveries) costs.set(target, (costs.get(target) ?? 0) + 1);
  }
  return costs;
}

function deliveriesOf(events: readonly OpenedEvent[]): number {
  return events.reduce((sum, { deliveries = [] }) => sum + deliveries.length, 0);
}
