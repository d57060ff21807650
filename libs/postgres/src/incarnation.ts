import { CannotStart } from '@roost/core/cannot-start';
import { MINUTE_MS } from '@roost/core/time';
import type { Database } from './database.ts';
import type { Executor } from './executor.ts';

/** How often this homeserver was restored: before, as its database knew, and now. */
export interface Restored {
  readonly from: number;
  readonly to: number;
}

/**
 * Finds out whether a database was restored from a backup: the incarnation comes from outside of it and
 * grows with each restore, and each database keeps the one that it served last. Where the one from outside
 * is higher, `finalize` does what a restore asks for, once, whichever replica comes first, in the
 * transaction that notes it; nobody is served before. Gives whether it did.
 */
export async function enterIncarnation(
  database: Database,
  incarnation: number,
  finalize: (tx: Executor, restored: Restored) => Promise<void>,
): Promise<boolean> {
  const work = async (tx: Executor): Promise<boolean> => {
    await tx.query({ text: `SELECT pg_advisory_xact_lock(${LOCK_KEY})` });
    const [kept] = await tx.query<{ incarnation: bigint }>({
      text: 'SELECT incarnation FROM incarnations',
    });
    if (kept === undefined) {
      // A database that served nobody yet.
      await tx.query({
        text: 'INSERT INTO incarnations (incarnation) VALUES ($1)',
        values: [incarnation],
      });
      return false;
    }
    const from = Number(kept.incarnation);
    if (from === incarnation) return false;
    if (from > incarnation) {
      throw new CannotStart(
        `this database has served incarnation ${from}, and is given ${incarnation} (ROOST_INCARNATION): it grows with ` +
          `each restored backup and never falls; say ${from}, or ${from + 1} if a backup was restored since`,
      );
    }
    await finalize(tx, { from, to: incarnation });
    await tx.query({ text: 'UPDATE incarnations SET incarnation = $1', values: [incarnation] });
    return true;
  };
  return await database.transaction(work, PATIENT);
}

/**
 * How far sequences are moved on for each incarnation: further than what is given out between two of them. With
 * incarnations that are minutes since 1970, as `roostctl` makes them, sequences stay below 2^53.
 */
export const RESTORED_GAP = 1n << 27n;

/** There may be millions of queues. */
const PATIENT = { statementMs: 60 * MINUTE_MS, lockMs: 60 * MINUTE_MS, idleMs: 60 * MINUTE_MS };
/** Another one than that of migrations. */
const LOCK_KEY = 0x726f_6f73_75;
