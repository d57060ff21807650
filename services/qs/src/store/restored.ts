import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** Queues in the order of their ids, page by page. */
export const listClients = statement<[after: bigint, countMax: number], { clientId: bigint }>(
  'qs_list_queues',
  `SELECT client_id AS "clientId" FROM queues WHERE client_id > $1 ORDER BY client_id LIMIT $2`,
);

/** Empties all KeyPackages of a single use, with their handles: nobody can publish them again. */
export async function purgePackages(tx: Executor): Promise<void> {
  await deleteHandles(tx);
  await emptyPackages(tx);
  await forgetLowWater(tx);
}

/** Those that were moved by so much count as read up to where they begin anew. */
export const setAcknowledged = statement<[by: bigint], never>(
  'qs_acknowledge_restored',
  `UPDATE queues SET acknowledged = least(next_sequence, acknowledged + $1::bigint)`,
);

const deleteHandles = statement<[], never>(
  'qs_delete_pooled_handles',
  `DELETE FROM handles
    WHERE handle_hash IN (SELECT sha256(handle) FROM add_packages
                           WHERE NOT is_claimed AND NOT is_last_resort)
      AND NOT is_last_resort AND binding IS NULL`,
);

const emptyPackages = statement<[], never>(
  'qs_empty_pool',
  `UPDATE add_packages
      SET is_claimed = true, handle = NULL, key_package = NULL, sealed_link_key = NULL
    WHERE NOT is_claimed AND NOT is_last_resort`,
);

/** What they were told of low water is told anew with the gap. */
const forgetLowWater = statement<[], never>(
  'qs_tell_low_water_again',
  `UPDATE clients SET is_low_water_told = true`,
);
