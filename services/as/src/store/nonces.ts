import { Failure } from '@roost/core/failure';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** Refuses a signed request that was seen before; in the transaction of what it changes. */
export async function spendNonce(tx: Executor, nonce: Uint8Array, forgetAt: Date): Promise<void> {
  const [spent] = await insertNonce(tx, nonce, forgetAt);
  if (spent === undefined) throw new Failure('REPLAYED', 'this signed request was seen before');
}

export async function forgetNonces(on: Executor, now: Date): Promise<void> {
  await deleteNonces(on, now);
}

const insertNonce = statement<[nonce: Uint8Array, forgetAt: Date], { isNew: boolean }>(
  'as_insert_nonce',
  `INSERT INTO nonces (nonce, forget_at) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING
   RETURNING true AS "isNew"`,
);

const deleteNonces = statement<[now: Date], never>(
  'as_delete_nonces',
  `DELETE FROM nonces WHERE forget_at <= $1`,
);
