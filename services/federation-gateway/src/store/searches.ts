import type { Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** How looking for a domain went last. */
export interface Search {
  /** Why it was not found; empty where it was, or is looked for right now. */
  readonly trouble: string;
  /** Until then nobody looks for it. */
  readonly untilMs: number;
  /** How often in a row it was not found. */
  readonly misses: number;
}

/**
 * Whether it is our turn to look for a domain: nobody, at whichever replica, does or waits. It is ours until
 * `untilMs`. Else how it went.
 */
export async function claimSearch(
  on: Executor,
  domain: Domain,
  { nowMs, untilMs }: { readonly nowMs: number; readonly untilMs: number },
): Promise<
  { readonly isOurs: true; readonly misses: number } | ({ readonly isOurs: false } & Search)
> {
  const [claimed] = await upsertSearch(on, domain, BigInt(nowMs), BigInt(untilMs));
  if (claimed !== undefined) return { isOurs: true, misses: claimed.misses };
  const search = await findSearch(on, domain);
  return { isOurs: false, ...(search ?? { trouble: '', untilMs: nowMs, misses: 0 }) };
}

export async function findSearch(on: Executor, domain: Domain): Promise<Search | undefined> {
  const [row] = await selectSearch(on, domain);
  return row === undefined ? undefined : { ...row, untilMs: Number(row.untilMs) };
}

export async function noteSearch(
  on: Executor,
  domain: Domain,
  { trouble, untilMs, misses }: Search,
): Promise<void> {
  const said = trouble.slice(0, TROUBLE_CHARACTERS_MAX);
  await updateSearch(on, domain, said, BigInt(untilMs), misses);
}

/** The operator found it: nothing was wrong with it. */
export async function forgetTrouble(on: Executor, domain: Domain): Promise<void> {
  await clearSearch(on, domain);
}

/** Forgets looks of long ago: names that somebody made up would fill the table. */
export async function forgetSearches(on: Executor, beforeMs: number): Promise<void> {
  await deleteSearches(on, BigInt(beforeMs));
}

const TROUBLE_CHARACTERS_MAX = 512;

const upsertSearch = statement<
  [domain: Domain, nowMs: bigint, untilMs: bigint],
  { misses: number }
>(
  'federation_claim_search',
  `INSERT INTO searches (domain, at_ms, until_ms, trouble) VALUES ($1, $2, $3, '')
   ON CONFLICT (domain) DO UPDATE
   SET at_ms = excluded.at_ms, until_ms = excluded.until_ms, trouble = ''
   WHERE searches.until_ms <= $2
   RETURNING misses`,
);

const selectSearch = statement<
  [domain: Domain],
  { trouble: string; untilMs: bigint; misses: number }
>(
  'federation_find_search',
  `SELECT trouble, until_ms AS "untilMs", misses FROM searches WHERE domain = $1`,
);

const updateSearch = statement<
  [domain: Domain, trouble: string, untilMs: bigint, misses: number],
  never
>(
  'federation_note_search',
  `UPDATE searches SET trouble = $2, until_ms = $3, misses = $4 WHERE domain = $1`,
);

const clearSearch = statement<[domain: Domain], never>(
  'federation_clear_search',
  `UPDATE searches SET trouble = '', misses = 0 WHERE domain = $1`,
);

const deleteSearches = statement<[beforeMs: bigint], never>(
  'federation_forget_searches',
  `DELETE FROM searches WHERE at_ms < $1`,
);
