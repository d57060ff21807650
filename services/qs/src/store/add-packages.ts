import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

export interface NewAddPackage {
  readonly ref: Uint8Array;
  readonly initKey: Uint8Array;
  readonly encryptionKey: Uint8Array;
  readonly signatureKey: Uint8Array;
  readonly isLastResort: boolean;
  readonly expiresAt: Date;
  readonly handle: Uint8Array;
  readonly keyPackage: Uint8Array;
  readonly sealedLinkKey: Uint8Array;
}

export interface ClaimedPackage {
  readonly clientId: bigint;
  readonly handle: Uint8Array;
  readonly keyPackage: Uint8Array;
  readonly sealedLinkKey: Uint8Array;
}

export async function insertPackages(
  tx: Executor,
  clientId: bigint,
  packages: readonly NewAddPackage[],
): Promise<void> {
  const rows = packages.map(
    (each) =>
      [
        each.ref,
        each.initKey,
        each.encryptionKey,
        each.signatureKey,
        each.isLastResort,
        each.expiresAt,
        each.handle,
        each.keyPackage,
        each.sealedLinkKey,
      ] as const,
  );
  await insert(tx, rows, clientId);
}

/** References that are there already, claimed or not, whoever's. */
export const findRefs = statement<
  [refs: readonly Uint8Array[]],
  { ref: Uint8Array; clientId: bigint }
>(
  'qs_find_package_refs',
  `SELECT key_package_ref AS ref, client_id AS "clientId"
     FROM add_packages WHERE key_package_ref = ANY ($1::bytea[])`,
);

export const countPool = statement<
  [clientId: bigint, now: Date],
  { available: bigint; lastResort: bigint }
>(
  'qs_count_pool',
  `SELECT count(*) FILTER (WHERE NOT is_last_resort) AS available,
          count(*) FILTER (WHERE is_last_resort) AS "lastResort"
     FROM add_packages
    WHERE client_id = $1 AND NOT is_claimed AND expires_at > $2`,
);

/** All last-resort packages of a client but the given ones. */
export const deleteLastResort = statement<
  [clientId: bigint, keptRefs: readonly Uint8Array[]],
  never
>(
  'qs_delete_last_resort',
  `DELETE FROM add_packages
    WHERE client_id = $1 AND is_last_resort AND NOT key_package_ref = ANY ($2::bytea[])`,
);

/** For a client that is deleted: before its handles, as a claim takes both in this order. */
export const deletePackages = statement<[clientId: bigint], never>(
  'qs_delete_packages',
  `DELETE FROM add_packages WHERE client_id = $1`,
);

/** Takes one single-use package of each client; passes over those that others are taking. */
export const takePackages = statement<
  [clientIds: readonly bigint[], now: Date],
  { packageId: bigint } & ClaimedPackage
>(
  'qs_take_packages',
  `SELECT p.package_id AS "packageId", p.client_id AS "clientId", p.handle,
          p.key_package AS "keyPackage", p.sealed_link_key AS "sealedLinkKey"
     FROM unnest($1::bigint[]) AS c (client_id)
    CROSS JOIN LATERAL (
          SELECT package_id, client_id, handle, key_package, sealed_link_key
            FROM add_packages
           WHERE client_id = c.client_id AND NOT is_last_resort AND NOT is_claimed
             AND expires_at > $2
           ORDER BY expires_at, package_id
           LIMIT 1
             FOR UPDATE SKIP LOCKED) AS p`,
);

export const emptyPackages = statement<[packageIds: readonly bigint[]], never>(
  'qs_empty_packages',
  `UPDATE add_packages
      SET is_claimed = true, handle = NULL, key_package = NULL, sealed_link_key = NULL
    WHERE package_id = ANY ($1::bigint[])`,
);

/** One last-resort package of each client, without a lock; `pick` spreads requesters' homeservers over several. */
export const findLastResort = statement<
  [clientIds: readonly bigint[], now: Date, pick: number],
  ClaimedPackage
>(
  'qs_find_last_resort',
  `SELECT client_id AS "clientId", handle, key_package AS "keyPackage",
          sealed_link_key AS "sealedLinkKey"
     FROM (SELECT *, row_number() OVER w AS number, count(*) OVER (PARTITION BY client_id) AS count
             FROM add_packages
            WHERE client_id = ANY ($1::bigint[]) AND is_last_resort AND NOT is_claimed
              AND expires_at > $2
           WINDOW w AS (PARTITION BY client_id ORDER BY package_id)) AS p
    WHERE number = 1 + $3::integer % count`,
);

/** Clients that have few single-use packages left and were not told. */
export const findLow = statement<
  [clientIds: readonly bigint[], now: Date, lowWater: number],
  { clientId: bigint; available: bigint }
>(
  'qs_find_low',
  `SELECT client_id AS "clientId", available
     FROM (SELECT c.client_id,
                  (SELECT count(*) FROM add_packages AS p
                    WHERE p.client_id = c.client_id AND NOT is_last_resort AND NOT is_claimed
                      AND expires_at > $2) AS available
             FROM clients AS c
            WHERE c.client_id = ANY ($1::bigint[]) AND NOT c.is_low_water_told) AS c
    WHERE available < $3`,
);

/** Those that were told by this call; of two at once, one hears it. */
export const markLow = statement<[clientIds: readonly bigint[]], { clientId: bigint }>(
  'qs_mark_low',
  `UPDATE clients SET is_low_water_told = true
    WHERE client_id = ANY ($1::bigint[]) AND NOT is_low_water_told
   RETURNING client_id AS "clientId"`,
);

export const clearLow = statement<[clientId: bigint], never>(
  'qs_clear_low',
  `UPDATE clients SET is_low_water_told = false WHERE client_id = $1 AND is_low_water_told`,
);

/** Nothing where the claim was made before; waits for one that is being made. */
export const insertClaim = statement<
  [claimId: Uint8Array, requestTag: Uint8Array, now: Date],
  { claimId: Uint8Array }
>(
  'qs_insert_claim',
  `INSERT INTO claims (claim_id, request_tag, claimed_at) VALUES ($1, $2, $3)
   ON CONFLICT (claim_id) DO NOTHING
   RETURNING claim_id AS "claimId"`,
);

export const findClaim = statement<
  [claimId: Uint8Array],
  { requestTag: Uint8Array; response: Uint8Array | null }
>('qs_find_claim', `SELECT request_tag AS "requestTag", response FROM claims WHERE claim_id = $1`);

export const answerClaim = statement<[claimId: Uint8Array, response: Uint8Array], never>(
  'qs_answer_claim',
  `UPDATE claims SET response = $2 WHERE claim_id = $1`,
);

const insert = rowsStatement<
  readonly [
    ref: Uint8Array,
    initKey: Uint8Array,
    encryptionKey: Uint8Array,
    signatureKey: Uint8Array,
    isLastResort: boolean,
    expiresAt: Date,
    handle: Uint8Array,
    keyPackage: Uint8Array,
    sealedLinkKey: Uint8Array,
  ],
  never,
  [clientId: bigint]
>(
  'qs_insert_packages',
  {
    types: [
      'bytea',
      'bytea',
      'bytea',
      'bytea',
      'boolean',
      'timestamptz',
      'bytea',
      'bytea',
      'bytea',
    ],
    fixed: 1,
  },
  (values) => `INSERT INTO add_packages (client_id, key_package_ref, init_key, encryption_key,
                 signature_key, is_last_resort, expires_at, handle, key_package, sealed_link_key)
               SELECT $1::bigint, r.* FROM (${values}) AS r`,
);
