import { statement } from '@roost/postgres/statement';

/** The same again changes nothing. */
export const putRegistration = statement<[clientId: bigint, sealed: Uint8Array], never>(
  'qs_put_push_registration',
  `INSERT INTO push_subscriptions AS old (client_id, sealed) VALUES ($1, $2)
   ON CONFLICT (client_id) DO UPDATE
      SET sealed = excluded.sealed, is_told = old.is_told AND old.sealed = excluded.sealed`,
);

/** Of the handles of this client; others are passed over, whether there are such or not. */
export const putWraps = statement<
  [clientId: bigint, hashes: readonly Uint8Array[], wraps: readonly Uint8Array[]],
  never
>(
  'qs_put_push_wraps',
  `UPDATE handles AS h SET push_wrap = v.wrap
     FROM unnest($2::bytea[], $3::bytea[]) AS v (hash, wrap)
    WHERE h.handle_hash = v.hash AND h.client_id = $1`,
);

/** There are no pushes any more. */
export const deleteRegistration = statement<[clientId: bigint], never>(
  'qs_delete_push_registration',
  `WITH gone AS (DELETE FROM push_subscriptions WHERE client_id = $1)
   UPDATE handles SET push_wrap = NULL WHERE client_id = $1 AND push_wrap IS NOT NULL`,
);

/** Who of these is to be told, and is from now on: of many at once, one sends the push. */
export const takeUntold = statement<
  [clientIds: readonly bigint[]],
  { clientId: bigint; sealed: Uint8Array }
>(
  'qs_take_untold',
  `UPDATE push_subscriptions SET is_told = true
    WHERE client_id = ANY ($1::bigint[]) AND NOT is_told
   RETURNING client_id AS "clientId", sealed`,
);

/** Something was fetched, or a push did not go out. */
export const forgetTold = statement<[clientId: bigint], never>(
  'qs_forget_told',
  `UPDATE push_subscriptions SET is_told = false WHERE client_id = $1 AND is_told`,
);

/** The provider says that the subscription has ended; unless another took its place. */
export const dropRegistration = statement<[clientId: bigint, sealed: Uint8Array], never>(
  'qs_drop_push_registration',
  `DELETE FROM push_subscriptions WHERE client_id = $1 AND sealed = $2`,
);
