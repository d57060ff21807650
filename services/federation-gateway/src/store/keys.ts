import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** One of our own keys, the private half sealed. */
export interface StoredKey {
  readonly publicKey: Uint8Array;
  readonly privateSealed: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly revokedAt: number | undefined;
  readonly predecessor: Uint8Array;
  readonly endorsement: Uint8Array;
}

/** What we publish. */
export interface StoredDirectory {
  readonly serial: bigint;
  readonly signed: Uint8Array;
  readonly digest: Uint8Array;
  readonly signedAtMs: number;
}

/** Keeps other replicas from making keys and signing directories until `tx` ends. */
export async function lockKeys(tx: Executor): Promise<void> {
  await lock(tx);
}

/** The oldest first. */
export async function findKeys(on: Executor): Promise<readonly StoredKey[]> {
  const rows = await selectKeys(on);
  return rows.map(({ notBeforeMs, notAfterMs, revokedAtMs, ...row }) => ({
    ...row,
    notBefore: Number(notBeforeMs),
    notAfter: Number(notAfterMs),
    revokedAt: revokedAtMs === null ? undefined : Number(revokedAtMs),
  }));
}

export async function addKey(tx: Executor, key: StoredKey): Promise<void> {
  const { publicKey, privateSealed, notBefore, notAfter, predecessor, endorsement } = key;
  const validity = [BigInt(notBefore), BigInt(notAfter)] as const;
  await insertKey(tx, publicKey, privateSealed, ...validity, predecessor, endorsement);
}

export async function revokeKey(tx: Executor, publicKey: Uint8Array, atMs: number): Promise<void> {
  await updateKey(tx, publicKey, BigInt(atMs));
}

export async function findDirectory(on: Executor): Promise<StoredDirectory | undefined> {
  const [row] = await selectDirectory(on);
  if (row === undefined) return undefined;
  const { signedAtMs, ...rest } = row;
  return { ...rest, signedAtMs: Number(signedAtMs) };
}

export async function putDirectory(tx: Executor, directory: StoredDirectory): Promise<void> {
  const { serial, signed, digest, signedAtMs } = directory;
  await upsertDirectory(tx, serial, signed, digest, BigInt(signedAtMs));
}

const lock = statement<[], never>(
  'federation_lock_keys',
  `SELECT FROM pg_advisory_xact_lock(7005)`,
);

const selectKeys = statement<
  [],
  {
    publicKey: Uint8Array;
    privateSealed: Uint8Array;
    notBeforeMs: bigint;
    notAfterMs: bigint;
    revokedAtMs: bigint | null;
    predecessor: Uint8Array;
    endorsement: Uint8Array;
  }
>(
  'federation_find_keys',
  `SELECT public_key AS "publicKey", private_sealed AS "privateSealed",
          not_before_ms AS "notBeforeMs", not_after_ms AS "notAfterMs",
          revoked_at_ms AS "revokedAtMs", predecessor, endorsement
     FROM keys
    ORDER BY key_number`,
);

const insertKey = statement<
  [
    publicKey: Uint8Array,
    privateSealed: Uint8Array,
    notBeforeMs: bigint,
    notAfterMs: bigint,
    predecessor: Uint8Array,
    endorsement: Uint8Array,
  ],
  never
>(
  'federation_insert_key',
  `INSERT INTO keys (public_key, private_sealed, not_before_ms, not_after_ms, predecessor,
                     endorsement)
   VALUES ($1, $2, $3, $4, $5, $6)`,
);

const updateKey = statement<[publicKey: Uint8Array, atMs: bigint], never>(
  'federation_revoke_key',
  `UPDATE keys SET revoked_at_ms = $2 WHERE public_key = $1 AND revoked_at_ms IS NULL`,
);

/** The next rotation signs another. */
export async function forgetDirectory(tx: Executor): Promise<void> {
  await deleteDirectory(tx);
}

const deleteDirectory = statement<[], never>(
  'federation_forget_directory',
  `DELETE FROM directory`,
);

const selectDirectory = statement<
  [],
  { serial: bigint; signed: Uint8Array; digest: Uint8Array; signedAtMs: bigint }
>(
  'federation_find_directory',
  `SELECT serial, signed, digest, signed_at_ms AS "signedAtMs" FROM directory`,
);

const upsertDirectory = statement<
  [serial: bigint, signed: Uint8Array, digest: Uint8Array, signedAtMs: bigint],
  never
>(
  'federation_put_directory',
  `INSERT INTO directory (serial, signed, digest, signed_at_ms)
   VALUES ($1, $2, $3, $4)
   ON CONFLICT (is_there) DO UPDATE
   SET serial = excluded.serial, signed = excluded.signed, digest = excluded.digest,
       signed_at_ms = excluded.signed_at_ms`,
);
