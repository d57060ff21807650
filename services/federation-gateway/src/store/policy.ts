import type { Domain } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** As the numbers in the table. */
export const MODES = { allowlist: 1, open: 2 } as const;
export const KINDS = { allowed: 1, blocked: 2 } as const;
export type Mode = keyof typeof MODES;
export type Kind = keyof typeof KINDS;

/** What the operator said of a domain. */
export interface Listing {
  readonly domain: Domain;
  readonly kind: Kind;
  readonly endpoint: string;
  readonly note: string;
  readonly sinceMs: number;
}

/** The mode, and what was said of a domain: read at one moment. */
export async function findStanding(
  on: Executor,
  domain: Domain,
): Promise<{ readonly mode: Mode; readonly listing: Listing | undefined }> {
  const [row] = await selectStanding(on, domain);
  const { kind = null, endpoint, note, since } = row ?? {};
  const named = kindOf(kind);
  const listing =
    named === undefined
      ? undefined
      : { domain, kind: named, endpoint: endpoint ?? '', note: note ?? '', sinceMs: +(since ?? 0) };
  // A table without its row is closed.
  return { mode: nameOf(MODES, row?.mode ?? MODES.allowlist) ?? 'allowlist', listing };
}

export async function findMode(on: Executor): Promise<Mode> {
  const [row] = await selectMode(on);
  return nameOf(MODES, row?.mode ?? MODES.allowlist) ?? 'allowlist';
}

export async function setMode(on: Executor, mode: Mode): Promise<void> {
  await updateMode(on, MODES[mode]);
}

export async function putListing(on: Executor, listing: Listing): Promise<void> {
  const { domain, kind, endpoint, note, sinceMs } = listing;
  await upsertListing(on, domain, KINDS[kind], endpoint, note, new Date(sinceMs));
}

export async function dropListing(on: Executor, domain: Domain): Promise<void> {
  await deleteListing(on, domain);
}

/** By domain. */
export async function listListings(on: Executor, most: number): Promise<readonly Listing[]> {
  const rows = await selectListings(on, most);
  return rows.flatMap(({ kind, since, ...row }) => {
    const named = nameOf(KINDS, kind);
    return named === undefined ? [] : [{ ...row, kind: named, sinceMs: +since }];
  });
}

export async function countListings(on: Executor): Promise<number> {
  const [row] = await selectCount(on);
  return Number(row?.count ?? 0n);
}

/** By its number in the table; `undefined` where nothing was said. */
export function kindOf(number: number | null): Kind | undefined {
  return number === null ? undefined : nameOf(KINDS, number);
}

interface ListingRow {
  readonly kind: number;
  readonly endpoint: string;
  readonly note: string;
  readonly since: Date;
}

function nameOf<Names extends Record<string, number>>(names: Names, value: number) {
  return Object.keys(names).find((name): name is keyof Names & string => names[name] === value);
}

const selectStanding = statement<
  [domain: Domain],
  { mode: number } & { [Key in keyof ListingRow]: ListingRow[Key] | null }
>(
  'federation_find_standing',
  `SELECT mode, kind, endpoint, note, since
     FROM policy LEFT JOIN listings ON domain = $1`,
);

const selectMode = statement<[], { mode: number }>(
  'federation_find_mode',
  `SELECT mode FROM policy`,
);

const selectCount = statement<[], { count: bigint }>(
  'federation_count_listings',
  `SELECT count(*) FROM listings`,
);

const updateMode = statement<[mode: number], never>(
  'federation_set_mode',
  `UPDATE policy SET mode = $1`,
);

const upsertListing = statement<
  [domain: Domain, kind: number, endpoint: string, note: string, since: Date],
  never
>(
  'federation_put_listing',
  `INSERT INTO listings (domain, kind, endpoint, note, since)
   VALUES ($1, $2, $3, $4, $5)
   ON CONFLICT (domain) DO UPDATE
   SET kind = excluded.kind, endpoint = excluded.endpoint, note = excluded.note,
       since = CASE WHEN listings.kind = excluded.kind THEN listings.since
                    ELSE excluded.since END`,
);

const deleteListing = statement<[domain: Domain], never>(
  'federation_drop_listing',
  `DELETE FROM listings WHERE domain = $1`,
);

const selectListings = statement<[most: number], ListingRow & { domain: Domain }>(
  'federation_list_listings',
  `SELECT domain, kind, endpoint, note, since FROM listings ORDER BY domain LIMIT $1`,
);
