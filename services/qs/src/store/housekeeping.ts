import { Failure } from '@roost/core/failure';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** Refuses a signed request that was seen before; in the transaction of what it changes. */
export async function spendNonce(tx: Executor, nonce: Uint8Array, now: Date): Promise<void> {
  const [spent] = await insertNonce(tx, nonce, now);
  if (spent === undefined) throw new Failure('REPLAYED', 'this signed request was seen before');
}

/** What is deleted when it is old enough; each call is one bounded batch. */
export const sweeps = {
  nonces: statement<[before: Date, countMax: number], { gone: number }>(
    'qs_sweep_nonces',
    `DELETE FROM nonces WHERE nonce IN (SELECT nonce FROM nonces WHERE seen_at < $1 LIMIT $2)
     RETURNING 1 AS gone`,
  ),
  claims: statement<[before: Date, countMax: number], { gone: number }>(
    'qs_sweep_claims',
    `DELETE FROM claims
      WHERE claim_id IN (SELECT claim_id FROM claims WHERE claimed_at < $1 LIMIT $2)
     RETURNING 1 AS gone`,
  ),
  deadLetters: statement<[before: Date, countMax: number], { gone: number }>(
    'qs_sweep_dead_letters',
    `DELETE FROM dead_letters
      WHERE letter_id IN (SELECT letter_id FROM dead_letters WHERE buried_at < $1 LIMIT $2)
     RETURNING 1 AS gone`,
  ),
  /** Rules whose time is over: nobody needs to know any more that there was one. */
  mutes: statement<[minute: number, countMax: number], { gone: number }>(
    'qs_sweep_mutes',
    `UPDATE handles SET rule = 1, muted_until = NULL
      WHERE handle_hash IN
            (SELECT handle_hash FROM handles WHERE rule = 3 AND muted_until <= $1 LIMIT $2)
     RETURNING 1 AS gone`,
  ),
  /** The handle of a package that nobody claimed goes with it. */
  packages: statement<[before: Date, countMax: number], { gone: number }>(
    'qs_sweep_packages',
    `WITH gone AS (
       DELETE FROM add_packages
        WHERE package_id IN (SELECT package_id FROM add_packages WHERE expires_at < $1 LIMIT $2)
       RETURNING handle
     ), handle AS (
       DELETE FROM handles
        WHERE handle_hash IN (SELECT sha256(handle) FROM gone WHERE handle IS NOT NULL)
          AND NOT is_last_resort AND binding IS NULL
     )
     SELECT 1 AS gone FROM gone`,
  ),
};

/** Handles of clients that were deleted long ago are forgotten. */
export const sweepGone = statement<[beforeMonth: number, countMax: number], { gone: number }>(
  'qs_sweep_gone_handles',
  `DELETE FROM handles
    WHERE handle_hash IN
          (SELECT handle_hash FROM handles WHERE state = 3 AND gone_month < $1 LIMIT $2)
   RETURNING 1 AS gone`,
);

const insertNonce = statement<[nonce: Uint8Array, now: Date], { nonce: Uint8Array }>(
  'qs_insert_nonce',
  `INSERT INTO nonces (nonce, seen_at) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING
   RETURNING nonce`,
);
