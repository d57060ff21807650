import type { Domain } from '@roost/core/ids';
import type { TrustedKey } from '@roost/federation/keys';
import type { Trust } from '@roost/federation/trust';
import type { Executor } from '@roost/postgres/executor';
import { rowsStatement, statement } from '@roost/postgres/statement';

/** A homeserver that was found, as it was believed last. */
export interface StoredPeer {
  readonly firstMetMs: number;
  /** Its directory as it was signed. */
  readonly signed: Uint8Array;
  readonly readAtMs: number;
  readonly reliedUntilMs: number;
  readonly trust: Trust;
}

export async function findPeer(on: Executor, domain: Domain): Promise<StoredPeer | undefined> {
  const [rows, keyRows] = await Promise.all([selectPeer(on, domain), selectKeys(on, domain)]);
  const [row] = rows;
  if (row === undefined) return undefined;
  const keys = keyRows.map(({ notBeforeMs, notAfterMs, revokedAtMs, ...key }) => ({
    ...key,
    notBefore: Number(notBeforeMs),
    notAfter: Number(notAfterMs),
    revokedAt: revokedAtMs === null ? undefined : Number(revokedAtMs),
  }));
  return {
    ...{ firstMetMs: +row.firstMet, signed: row.signed },
    ...{ readAtMs: Number(row.readAtMs), reliedUntilMs: Number(row.reliedUntilMs) },
    trust: { serial: row.serial, contentHash: row.contentHash, keys },
  };
}

/** Keys of theirs by who they say that they are, whatever became of them since. */
export async function findKeysNamed(
  on: Executor,
  named: readonly { readonly source: Domain; readonly keyId: Uint8Array }[],
): Promise<readonly NamedKey[]> {
  const rows = await selectNamed(
    on,
    named.map(({ source, keyId }) => [source, keyId]),
  );
  return rows.map(({ notBeforeMs, notAfterMs, ...key }) => ({
    ...{ ...key, notBefore: Number(notBeforeMs), notAfter: Number(notAfterMs) },
  }));
}

/** Keeps others from changing what is believed of a domain until `tx` ends. */
export async function lockPeer(tx: Executor, domain: Domain): Promise<void> {
  await lock(tx, domain);
}

export async function putPeer(tx: Executor, domain: Domain, peer: StoredPeer): Promise<void> {
  const { firstMetMs, signed, readAtMs, reliedUntilMs, trust } = peer;
  const times = [BigInt(readAtMs), BigInt(reliedUntilMs)] as const;
  const first = new Date(firstMetMs);
  await upsertPeer(tx, domain, first, trust.serial, signed, trust.contentHash, ...times);
  await upsertKeys(tx, trust.keys.map(rowOf), domain);
}

/** What was believed of a domain's keys counts no more; they stay for what they signed. */
export async function revokePeerKeys(tx: Executor, domain: Domain, atMs: number): Promise<void> {
  await updateKeys(tx, domain, BigInt(atMs));
}

type NamedKey = Omit<TrustedKey, 'keyId' | 'revokedAt'> & { readonly domain: Domain };

type KeyRow = readonly [Uint8Array, Uint8Array, bigint, bigint, bigint | null];

function rowOf({ keyId, publicKey, notBefore, notAfter, revokedAt }: TrustedKey): KeyRow {
  const ended = revokedAt === undefined ? null : BigInt(revokedAt);
  return [keyId, publicKey, BigInt(notBefore), BigInt(notAfter), ended];
}

const selectPeer = statement<
  [domain: Domain],
  {
    firstMet: Date;
    serial: bigint;
    signed: Uint8Array;
    contentHash: Uint8Array;
    readAtMs: bigint;
    reliedUntilMs: bigint;
  }
>(
  'federation_find_peer',
  `SELECT first_met AS "firstMet", serial, signed, content_hash AS "contentHash",
          read_at_ms AS "readAtMs", relied_until_ms AS "reliedUntilMs"
     FROM peers
    WHERE domain = $1`,
);

const selectKeys = statement<
  [domain: Domain],
  {
    keyId: Uint8Array;
    publicKey: Uint8Array;
    notBeforeMs: bigint;
    notAfterMs: bigint;
    revokedAtMs: bigint | null;
  }
>(
  'federation_find_peer_keys',
  `SELECT key_id AS "keyId", public_key AS "publicKey", not_before_ms AS "notBeforeMs",
          not_after_ms AS "notAfterMs", revoked_at_ms AS "revokedAtMs"
     FROM peer_keys
    WHERE domain = $1`,
);

const selectNamed = rowsStatement<
  readonly [Domain, Uint8Array],
  { domain: Domain; publicKey: Uint8Array; notBeforeMs: bigint; notAfterMs: bigint }
>(
  'federation_find_named_keys',
  { types: ['text', 'bytea'] },
  (values) =>
    `SELECT peer_keys.domain, public_key AS "publicKey", not_before_ms AS "notBeforeMs",
            not_after_ms AS "notAfterMs"
       FROM (${values}) AS asked (domain, key_id)
       JOIN peer_keys ON peer_keys.domain = asked.domain AND peer_keys.key_id = asked.key_id`,
);

const lock = statement<[domain: Domain], never>(
  'federation_lock_peer',
  `SELECT FROM pg_advisory_xact_lock(7006, hashtext($1))`,
);

const upsertPeer = statement<
  [
    domain: Domain,
    firstMet: Date,
    serial: bigint,
    signed: Uint8Array,
    contentHash: Uint8Array,
    readAtMs: bigint,
    reliedUntilMs: bigint,
  ],
  never
>(
  'federation_put_peer',
  `INSERT INTO peers (domain, first_met, serial, signed, content_hash, read_at_ms, relied_until_ms)
   VALUES ($1, $2, $3, $4, $5, $6, $7)
   ON CONFLICT (domain) DO UPDATE
   SET serial = excluded.serial, signed = excluded.signed, content_hash = excluded.content_hash,
       read_at_ms = excluded.read_at_ms, relied_until_ms = excluded.relied_until_ms`,
);

const upsertKeys = rowsStatement<KeyRow, never, [domain: Domain]>(
  'federation_put_peer_keys',
  { types: ['bytea', 'bytea', 'bigint', 'bigint', 'bigint'], fixed: 1, rowsMax: 64 },
  (values) =>
    `INSERT INTO peer_keys (domain, key_id, public_key, not_before_ms, not_after_ms, revoked_at_ms)
     SELECT $1, * FROM (${values}) AS rows
     ON CONFLICT (domain, key_id) DO UPDATE SET revoked_at_ms = excluded.revoked_at_ms`,
);

const updateKeys = statement<[domain: Domain, atMs: bigint], never>(
  'federation_revoke_peer_keys',
  `UPDATE peer_keys SET revoked_at_ms = $2 WHERE domain = $1 AND revoked_at_ms IS NULL`,
);
