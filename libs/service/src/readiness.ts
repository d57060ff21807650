import { sleep } from '@roost/core/time';
import type { Database } from '@roost/postgres/database';
import type { State } from './health.ts';

/** Something outside of the process that it can do without for a while. */
export interface Reachable {
  isThere(): boolean | Promise<boolean>;
}

/**
 * How a process is doing, for whoever sends calls to it. Without its database it can do nothing. What else is away is
 * told, but takes nobody out of service: what is accepted meanwhile is kept, and what is stored already can be read.
 *
 * Many ask, every second; what one of them was told a moment ago is good for the others too. Whoever does not answer
 * within a moment counts as away.
 */
export class Readiness {
  readonly #isWell: () => Promise<boolean>;
  readonly #away: () => Promise<string[]>;
  #stage: 'starting' | 'serving' | 'stopping' = 'starting';

  /** `database` is a connection of its own: one that is waited for by everybody would answer late. */
  constructor(database: Database, connections: Readonly<Record<string, Reachable>>) {
    this.#isWell = shared(async () => await isAnswering(database));
    this.#away = shared(async () => await awayOf(connections));
  }

  /** Whoever calls is heard from now on. */
  begin(): void {
    this.#stage = 'serving';
  }

  /** From now on nobody is to be sent here. */
  stop(): void {
    this.#stage = 'stopping';
  }

  /** Whether calls may be sent here. */
  async isReady(): Promise<boolean> {
    return this.#stage === 'serving' && (await this.#isWell());
  }

  async state(): Promise<State> {
    if (this.#stage !== 'serving') return { missing: [this.#stage], away: [] };
    const [isWell, away] = await Promise.all([this.#isWell(), this.#away()]);
    return { missing: isWell ? [] : ['database'], away };
  }
}

/** The names of those that do not answer in time. */
export async function awayOf(connections: Readonly<Record<string, Reachable>>): Promise<string[]> {
  const asked = Object.entries(connections).map(async ([name, connection]) => {
    const isThere = await inTime(async () => await connection.isThere());
    return isThere ? [] : [name];
  });
  return (await Promise.all(asked)).flat();
}

async function isAnswering(database: Database): Promise<boolean> {
  return await inTime(async () => {
    await database.query({ text: 'SELECT' });
    return true;
  });
}

async function inTime(ask: () => Promise<boolean>): Promise<boolean> {
  const answered = new AbortController();
  try {
    return await Promise.race([ask(), sleep(ANSWER_MS, answered.signal).then(() => false)]);
  } catch {
    return false;
  } finally {
    answered.abort();
  }
}

const ANSWER_MS = 700;
const FRESH_MS = 500;

/** One look at a time, and one for all who ask within a moment. */
function shared<T>(look: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly seen: Promise<T> } | undefined;
  return async () => {
    const now = performance.now();
    if (last === undefined || now - last.at > FRESH_MS) {
      const seen = look();
      last = { at: Infinity, seen };
      const mine = last;
      void seen.then(() => {
        if (last === mine) last = { at: performance.now(), seen };
      });
    }
    return await last.seen;
  };
}
