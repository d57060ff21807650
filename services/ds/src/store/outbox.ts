import type { Pair } from '@roost/bus/frames';
import type { Numbered } from '@roost/bus/numbering';
import type { Domain, Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

/** The last number that a group gave out for a destination. */
export interface Head {
  readonly id: Uuid;
  readonly destination: Domain;
  readonly pair: Pair;
}

/** A part of the fan-out of an event, sealed under the transport key. */
export interface OutboxRow extends Numbered {
  readonly id: Uuid;
  readonly destination: Domain;
  readonly partition: number;
  readonly sealed: Uint8Array;
}

export async function findHeads(on: Executor, ids: readonly Uuid[]): Promise<readonly Head[]> {
  return (await selectHeads(on, ids)).map(headOf);
}

/** Writes rows and heads, in the transaction that accepts their events. A head may lead further than the rows do. */
export async function insertOutbox(
  tx: Executor,
  rows: readonly OutboxRow[],
  heads: readonly (Head & { readonly partition: number })[],
): Promise<void> {
  if (heads.length === 0) return;
  await Promise.all([
    insertRows(
      tx,
      rows.map(({ id, destination, partition, number, prev, sealed }) => [
        id,
        destination,
        partition,
        number.incarnation,
        number.n,
        prev.incarnation,
        prev.n,
        sealed,
      ]),
    ),
    putHeads(
      tx,
      heads.map(({ id, destination, partition, pair }) => [
        id,
        destination,
        partition,
        pair.incarnation,
        pair.n,
      ]),
    ),
  ]);
}

/** Heads of a deleted group that has nothing left to tell. */
export const deleteClosedHeads = statement<[id: Uuid], never>(
  'ds_delete_closed_heads',
  `DELETE FROM outbox_heads
    WHERE closed AND group_id = $1
      AND NOT EXISTS (SELECT FROM outbox WHERE outbox.group_id = outbox_heads.group_id)`,
);

export interface HeadRow {
  readonly id: Uuid;
  readonly destination: Domain;
  readonly incarnation: bigint;
  readonly n: bigint;
}

/** A head as its row has it. */
export function headOf({ id, destination, incarnation, n }: HeadRow): Head {
  return { id, destination, pair: { incarnation: Number(incarnation), n } };
}

const selectHeads = statement<[ids: readonly Uuid[]], HeadRow>(
  'ds_find_heads',
  `SELECT group_id AS id, destination, incarnation, n
     FROM outbox_heads
    WHERE group_id = ANY ((SELECT $1::uuid[])::uuid[])`,
);

const insertRows = rowsStatement<
  readonly [Uuid, Domain, number, number, bigint, number, bigint, Uint8Array],
  never
>(
  'ds_insert_outbox',
  { types: ['uuid', 'text', 'smallint', 'bigint', 'bigint', 'bigint', 'bigint', 'bytea'] },
  (values) =>
    `INSERT INTO outbox (group_id, destination, partition, incarnation, n,
                         prev_incarnation, prev_n, sealed)
     ${values}`,
);

const putHeads = rowsStatement<readonly [Uuid, Domain, number, number, bigint], never>(
  'ds_put_heads',
  { types: ['uuid', 'text', 'smallint', 'bigint', 'bigint'] },
  (values) =>
    `INSERT INTO outbox_heads (group_id, destination, partition, incarnation, n)
     ${values}
     ON CONFLICT (group_id, destination)
     DO UPDATE SET incarnation = excluded.incarnation, n = excluded.n`,
);
