import type { Uuid } from '@roost/core/ids';

/**
 * Whether a refusal speaks of what was sent, which would be refused again; everything else, and what we never heard of,
 * is a state of the peer's, which passes.
 */
export function isPoison(reason: string): boolean {
  return POISON.has(reason);
}

const POISON: ReadonlySet<string> = new Set(['MALFORMED', 'TOO_LARGE', 'INVALID_MLS']);

/**
 * Groups of which something was refused as it is: they are sent apart from the others, in ever smaller pieces, until it is
 * known which single event a peer cannot take.
 */
export class Suspects {
  readonly #events = new Map<Uuid, number>();

  /** How many events of a group go at once: `undefined` where nothing is wrong with it. */
  eventsMaxOf(id: Uuid): number | undefined {
    return this.#events.get(id);
  }

  get ids(): readonly Uuid[] {
    return [...this.#events.keys()];
  }

  /** So many events of it, alone or in company, were refused. Whether that is the end of the one that it was. */
  refused(id: Uuid, events: number): boolean {
    const wasSuspect = this.#events.has(id);
    if (wasSuspect && events === 1) return true;
    this.#events.set(id, Math.max(1, Math.floor(events / 2)));
    return false;
  }

  cleared(id: Uuid): void {
    this.#events.delete(id);
  }
}
