import type { Domain } from '@roost/core/ids';
import type { AuditRow } from '@roost/federation/audit';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

/** What a message id stands for. */
export interface Seen {
  readonly source: Domain;
  readonly messageId: Uint8Array;
  readonly digest: Uint8Array;
}

/** Notes message ids; gives those that were not there. */
export async function addSeen(
  tx: Executor,
  entries: readonly (Seen & { readonly expiresMs: number })[],
): Promise<readonly Pick<Seen, 'source' | 'messageId'>[]> {
  return await insertSeen(
    tx,
    entries.map(({ source, messageId, digest, expiresMs }) => [
      source,
      messageId,
      digest,
      BigInt(expiresMs),
    ]),
  );
}

export async function findSeen(
  on: Executor,
  entries: readonly Pick<Seen, 'source' | 'messageId'>[],
): Promise<readonly Seen[]> {
  return await selectSeen(
    on,
    entries.map(({ source, messageId }) => [source, messageId]),
  );
}

export async function forgetSeen(on: Executor, beforeMs: number): Promise<void> {
  await deleteSeen(on, BigInt(beforeMs));
}

/** Begins a chain; gives its number. */
export async function beginChain(
  on: Executor,
  chain: Uint8Array,
  firstHash: Uint8Array,
): Promise<number> {
  const [row] = await insertChain(on, chain, firstHash);
  return row?.number ?? 0;
}

/** Adds rows to a chain that they follow on, and moves its end. */
export async function addRows(
  tx: Executor,
  chainNumber: number,
  rows: readonly Omit<AuditRow, 'chain'>[],
): Promise<void> {
  const last = rows.at(-1);
  if (last === undefined) return;
  await Promise.all([
    insertRows(
      tx,
      rows.map(({ position, acceptedAtMs, envelope, hash }) => [
        position,
        BigInt(acceptedAtMs),
        envelope,
        hash,
      ]),
      chainNumber,
    ),
    updateChain(tx, chainNumber, last.position, last.hash),
  ]);
}

/** A row of a page, with what the first row that is left of its chain goes on from. */
export interface ReadRow extends AuditRow {
  readonly anchorPosition: bigint;
  readonly anchor: Uint8Array;
}

/** A page of the record, after a place in it. */
export async function readRows(
  on: Executor,
  after: { readonly chain: Uint8Array; readonly position: bigint } | undefined,
  most: number,
): Promise<readonly ReadRow[]> {
  const rows = await selectRows(on, after?.chain ?? null, after?.position ?? 0n, most);
  return rows.map(({ acceptedAtMs, ...row }) => ({ ...row, acceptedAtMs: Number(acceptedAtMs) }));
}

/** Whether a chain was ever begun; it is known for ever. */
export async function isChain(on: Executor, chain: Uint8Array): Promise<boolean> {
  return (await selectChain(on, chain)).length > 0;
}

/** Drops what is older, and keeps what the rest goes on from. */
export async function dropRows(tx: Executor, beforeMs: number): Promise<void> {
  await lockAnchors(tx);
  await moveAnchors(tx, BigInt(beforeMs));
  await deleteRows(tx);
}

const insertSeen = rowsStatement<
  readonly [Domain, Uint8Array, Uint8Array, bigint],
  { source: Domain; messageId: Uint8Array }
>(
  'federation_add_seen',
  { types: ['text', 'bytea', 'bytea', 'bigint'] },
  (values) =>
    `INSERT INTO seen (source, message_id, digest, expires_ms) ${values}
     ON CONFLICT (source, message_id) DO NOTHING
     RETURNING source, message_id AS "messageId"`,
);

const selectSeen = rowsStatement<readonly [Domain, Uint8Array], Seen>(
  'federation_find_seen',
  { types: ['text', 'bytea'] },
  (values) =>
    `SELECT seen.source, seen.message_id AS "messageId", seen.digest
       FROM (${values}) AS asked (source, message_id)
       JOIN seen ON seen.source = asked.source AND seen.message_id = asked.message_id`,
);

const deleteSeen = statement<[beforeMs: bigint], never>(
  'federation_forget_seen',
  `DELETE FROM seen WHERE expires_ms < $1`,
);

const insertChain = statement<[chain: Uint8Array, firstHash: Uint8Array], { number: number }>(
  'federation_begin_chain',
  `INSERT INTO audit_chains (chain, hash, anchor) VALUES ($1, $2, $2)
   RETURNING chain_number AS number`,
);

const insertRows = rowsStatement<
  readonly [bigint, bigint, Uint8Array, Uint8Array],
  never,
  [chainNumber: number]
>(
  'federation_add_rows',
  { types: ['bigint', 'bigint', 'bytea', 'bytea'], fixed: 1 },
  (values) =>
    `INSERT INTO audit (chain_number, position, accepted_at_ms, envelope, hash)
     SELECT $1::integer, * FROM (${values}) AS rows`,
);

const updateChain = statement<[chainNumber: number, position: bigint, hash: Uint8Array], never>(
  'federation_move_chain',
  `UPDATE audit_chains SET position = $2, hash = $3 WHERE chain_number = $1`,
);

const selectRows = statement<
  [afterChain: Uint8Array | null, afterPosition: bigint, most: number],
  Omit<ReadRow, 'acceptedAtMs'> & { acceptedAtMs: bigint }
>(
  'federation_read_rows',
  `SELECT chain, audit.position, accepted_at_ms AS "acceptedAtMs", envelope, audit.hash,
          anchor_position AS "anchorPosition", anchor
     FROM audit JOIN audit_chains USING (chain_number)
    WHERE $1::bytea IS NULL
       OR (chain_number, audit.position) >
          ((SELECT chain_number FROM audit_chains WHERE chain = $1), $2)
    ORDER BY chain_number, audit.position
    LIMIT $3`,
);

const selectChain = statement<[chain: Uint8Array], { chain: Uint8Array }>(
  'federation_find_chain',
  `SELECT chain FROM audit_chains WHERE chain = $1`,
);

/** Two replicas that move the anchors of the same chains would wait for each other. */
const lockAnchors = statement<[], never>(
  'federation_lock_anchors',
  `SELECT FROM pg_advisory_xact_lock(7007)`,
);

const moveAnchors = statement<[beforeMs: bigint], never>(
  'federation_move_anchors',
  `UPDATE audit_chains AS chains
      SET anchor_position = last.position, anchor = last.hash
     FROM (SELECT DISTINCT ON (chain_number) chain_number, position, hash
             FROM audit
            WHERE accepted_at_ms < $1
            ORDER BY chain_number, position DESC) AS last
    WHERE last.chain_number = chains.chain_number
      AND last.position > chains.anchor_position`,
);

const deleteRows = statement<[], never>(
  'federation_drop_rows',
  `DELETE FROM audit USING audit_chains AS chains
    WHERE chains.chain_number = audit.chain_number AND audit.position <= chains.anchor_position`,
);
