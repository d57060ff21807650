import { SqlError } from '@roost/postgres/errors';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';
import type { Account, Batch } from './domain/allowance.ts';
import type { KeyWindow } from './domain/rotation.ts';

export interface StoredKey extends KeyWindow {
  readonly keyNumber: number;
  readonly classNumber: number;
  readonly tokenKeyId: Uint8Array;
  readonly spki: Uint8Array;
  readonly privateSealed: Uint8Array;
}

/** Which allowance a batch is charged to. */
export interface Charged {
  readonly account: Uint8Array;
  readonly classNumber: number;
  readonly period: number;
}

/** Keeps other replicas from rotating until `tx` ends. */
export async function lockRotation(tx: Executor): Promise<void> {
  await lockKeys(tx);
}

export async function findKeys(on: Executor): Promise<readonly StoredKey[]> {
  const rows = await selectKeys(on);
  return rows.map(({ from_ms, until_ms, redeems_ms, ...key }) => ({
    ...key,
    issuesFrom: Number(from_ms),
    issuesUntil: Number(until_ms),
    redeemsUntil: Number(redeems_ms),
  }));
}

/** Keeps a key, with a partition for what is spent of it. */
export async function addKey(tx: Executor, key: Omit<StoredKey, 'keyNumber'>): Promise<void> {
  const { classNumber, tokenKeyId, spki, privateSealed } = key;
  const window = [key.issuesFrom, key.issuesUntil, key.redeemsUntil] as const;
  const [row] = await insertKey(tx, classNumber, tokenKeyId, spki, privateSealed, ...window);
  const number = Number(row?.key_number);
  await tx.query({
    text: `CREATE TABLE ${partition(number)} PARTITION OF spent FOR VALUES IN (${number})`,
  });
}

/** Lets a key issue, and its tokens be redeemed, at other times. */
export async function moveWindow(
  tx: Executor,
  keyNumber: number,
  { issuesFrom, issuesUntil, redeemsUntil }: KeyWindow,
): Promise<void> {
  await updateWindow(tx, keyNumber, issuesFrom, issuesUntil, redeemsUntil);
}

/** Whether what is spent of a key has no place any more: the key was forgotten meanwhile. */
export function isForgottenKey(error: unknown): boolean {
  return error instanceof SqlError && error.sqlState === '23514';
}

/** Forgets a retired key, and what was spent of it. */
export async function dropKey(tx: Executor, keyNumber: number): Promise<void> {
  await tx.query({ text: `DROP TABLE IF EXISTS ${partition(keyNumber)}` });
  await deleteKey(tx, keyNumber);
}

/** What the AS signed of a key set, sealed, by the hash of the set. */
export async function findSigned(
  on: Executor,
  keySetHash: Uint8Array,
): Promise<Uint8Array | undefined> {
  const [row] = await selectSigned(on, keySetHash);
  return row?.sealed;
}

/** Keeps what was signed, where nothing is kept. */
export async function keepSigned(
  on: Executor,
  keySetHash: Uint8Array,
  sealed: Uint8Array,
  createdAt: Date,
): Promise<void> {
  await insertSigned(on, keySetHash, sealed, createdAt);
}

export async function forgetSigned(on: Executor, before: Date): Promise<void> {
  await deleteSigned(on, before);
}

/** Reads an account's allowance and keeps other batches of it out until `tx` ends. */
export async function lockAccount(
  tx: Executor,
  { account, classNumber, period }: Charged,
  batchNumber: number,
): Promise<Account> {
  await insertAllowance(tx, account, classNumber, period);
  const [allowance] = await selectAllowance(tx, account, classNumber, period);
  const [batch] = await selectBatch(tx, account, classNumber, period, batchNumber);
  const [free] = await selectLowestFree(tx, account, classNumber, period);
  return {
    drawn: allowance?.drawn ?? 0,
    earlier: batch?.request_hash,
    lowestFree: free?.lowest ?? 0,
  };
}

export async function addBatch(
  tx: Executor,
  { account, classNumber, period }: Charged,
  batchNumber: number,
  batch: Batch,
): Promise<void> {
  const { requestHash, tokens } = batch;
  await insertBatch(tx, account, classNumber, period, batchNumber, requestHash, tokens);
}

/** Later than any. */
export const EVERY_PERIOD = 2 ** 31 - 1;

export async function forgetAllowances(on: Executor, beforePeriod: number): Promise<void> {
  await deleteAllowances(on, beforePeriod);
}

/** Spends tokens: returns those that were not spent before. */
export const spend = rowsStatement<
  [keyNumber: number, nonce: Uint8Array],
  { key_number: number; nonce: Uint8Array }
>(
  'aas_insert_spent',
  { types: ['integer', 'bytea'] },
  (values) =>
    `INSERT INTO spent (key_number, nonce) ${values}
     ON CONFLICT DO NOTHING
     RETURNING key_number, nonce`,
);

/** Makes tokens good again that were spent for calls that nobody then let through. */
export const unspend = rowsStatement<[keyNumber: number, nonce: Uint8Array], never>(
  'aas_delete_spent',
  { types: ['integer', 'bytea'] },
  (values) => `DELETE FROM spent WHERE (key_number, nonce) IN (${values})`,
);

const selectSigned = statement<[keySetHash: Uint8Array], { sealed: Uint8Array }>(
  'aas_find_signed',
  `SELECT signed_sealed AS sealed FROM key_sets WHERE key_set_hash = $1`,
);

const insertSigned = statement<
  [keySetHash: Uint8Array, sealed: Uint8Array, createdAt: Date],
  never
>(
  'aas_insert_signed',
  `INSERT INTO key_sets (key_set_hash, signed_sealed, created_at) VALUES ($1, $2, $3)
   ON CONFLICT DO NOTHING`,
);

const deleteSigned = statement<[before: Date], never>(
  'aas_delete_signed',
  `DELETE FROM key_sets WHERE created_at < $1`,
);

function partition(keyNumber: number): string {
  return `spent_${Math.trunc(keyNumber)}`;
}

const lockKeys = statement<[], never>('aas_lock_keys', `SELECT FROM pg_advisory_xact_lock(7001)`);

const updateWindow = statement<
  [keyNumber: number, fromMs: number, untilMs: number, redeemsMs: number],
  never
>(
  'aas_update_window',
  `UPDATE issuer_keys
      SET issues_from = to_timestamp($2::float8 / 1000),
          issues_until = to_timestamp($3::float8 / 1000),
          redeems_until = to_timestamp($4::float8 / 1000)
    WHERE key_number = $1`,
);

const selectKeys = statement<
  [],
  Omit<StoredKey, keyof KeyWindow> & { from_ms: bigint; until_ms: bigint; redeems_ms: bigint }
>(
  'aas_select_keys',
  `SELECT key_number AS "keyNumber", token_class AS "classNumber", token_key_id AS "tokenKeyId",
          spki, private_sealed AS "privateSealed",
          (extract(epoch FROM issues_from) * 1000)::bigint AS from_ms,
          (extract(epoch FROM issues_until) * 1000)::bigint AS until_ms,
          (extract(epoch FROM redeems_until) * 1000)::bigint AS redeems_ms
     FROM issuer_keys
    ORDER BY issues_from, key_number`,
);

const insertKey = statement<
  [number, Uint8Array, spki: Uint8Array, sealed: Uint8Array, number, number, number],
  { key_number: number }
>(
  'aas_insert_key',
  `INSERT INTO issuer_keys
     (token_class, token_key_id, spki, private_sealed, issues_from, issues_until, redeems_until)
   VALUES ($1, $2, $3, $4, to_timestamp($5::double precision / 1000),
           to_timestamp($6::double precision / 1000), to_timestamp($7::double precision / 1000))
   RETURNING key_number`,
);

const deleteKey = statement<[keyNumber: number], never>(
  'aas_delete_key',
  `DELETE FROM issuer_keys WHERE key_number = $1`,
);

const insertAllowance = statement<[account: Uint8Array, number, period: number], never>(
  'aas_insert_allowance',
  `INSERT INTO allowances (account, token_class, period) VALUES ($1, $2, $3)
   ON CONFLICT DO NOTHING`,
);

const selectAllowance = statement<[account: Uint8Array, number, period: number], { drawn: number }>(
  'aas_lock_allowance',
  `SELECT drawn FROM allowances
    WHERE account = $1 AND token_class = $2 AND period = $3
      FOR UPDATE`,
);

const selectBatch = statement<
  [account: Uint8Array, number, period: number, batchNumber: number],
  { request_hash: Uint8Array }
>(
  'aas_find_batch',
  `SELECT request_hash FROM batches
    WHERE account = $1 AND token_class = $2 AND period = $3 AND batch_number = $4`,
);

const selectLowestFree = statement<
  [account: Uint8Array, number, period: number],
  { lowest: number }
>(
  'aas_find_lowest_free_batch',
  `SELECT coalesce(min(candidate), 0) AS lowest
     FROM (SELECT 0 AS candidate
           UNION ALL
           SELECT batch_number + 1 FROM batches
            WHERE account = $1 AND token_class = $2 AND period = $3) AS candidates
    WHERE NOT EXISTS (SELECT FROM batches
                       WHERE account = $1 AND token_class = $2 AND period = $3
                         AND batch_number = candidate)`,
);

const insertBatch = statement<
  [Uint8Array, number, period: number, number: number, hash: Uint8Array, tokens: number],
  never
>(
  'aas_insert_batch',
  `WITH charged AS (
     UPDATE allowances SET drawn = drawn + $6::integer
      WHERE account = $1 AND token_class = $2 AND period = $3
   )
   INSERT INTO batches (account, token_class, period, batch_number, request_hash, tokens)
   VALUES ($1, $2, $3, $4, $5, $6)`,
);

const deleteAllowances = statement<[beforePeriod: number], never>(
  'aas_delete_allowances',
  `DELETE FROM allowances WHERE period < $1`,
);
