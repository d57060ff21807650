import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';
import type { Uuid } from '@roost/core/ids';

/** A registration between its two steps. */
export interface Registration {
  readonly registrationId: Uint8Array;
  readonly requestHash: Uint8Array;
  readonly userName: string;
  readonly userUuid: Uuid;
  readonly clientUuid: Uuid;
  readonly signatureKey: Uint8Array;
  readonly clientCredential: Uint8Array;
  readonly nameBinding: Uint8Array;
  readonly inviteHash: Uint8Array | undefined;
}

export interface StoredRegistration extends Registration {
  readonly isFinished: boolean;
}

/** Whether a name is taken by a user, by one that was deleted or by an open reservation. Others wait until `tx` ends. */
export async function lockName(
  tx: Executor,
  { userName, nameTag }: { userName: string; nameTag: Uint8Array },
  now: Date,
): Promise<boolean> {
  await lockNames(tx, userName);
  await deleteExpiredOfName(tx, userName, now);
  const [taken] = await selectTaken(tx, userName, nameTag);
  return taken?.taken === true;
}

/** Whether an invite code is good and unused. Others who bring it wait until `tx` ends. */
export async function lockInvite(tx: Executor, codeHash: Uint8Array, now: Date): Promise<boolean> {
  const [invite] = await selectInvite(tx, codeHash, now);
  if (invite === undefined) return false;
  await deleteExpiredOfInvite(tx, codeHash, now);
  const [reserved] = await selectReserved(tx, codeHash);
  return reserved === undefined;
}

export async function addRegistration(
  tx: Executor,
  r: Registration,
  expiresAt: Date,
): Promise<void> {
  const ids = [r.registrationId, r.requestHash, r.userName, r.userUuid, r.clientUuid] as const;
  const proofs = [r.signatureKey, r.clientCredential, r.nameBinding] as const;
  await insertRegistration(tx, ...ids, ...proofs, r.inviteHash ?? null, expiresAt);
}

export async function findRegistration(on: Executor, registrationId: Uint8Array, now: Date) {
  const [row] = await selectRegistration(on, registrationId, now);
  return row && stored(row);
}

/** Keeps a second FinishRegistration out until `tx` ends. */
export async function lockRegistration(tx: Executor, registrationId: Uint8Array, now: Date) {
  const [row] = await selectRegistrationForUpdate(tx, registrationId, now);
  return row && stored(row);
}

/** The key of a client that is between the two steps. */
export async function findPendingKey(on: Executor, clientUuid: Uuid, now: Date) {
  const [row] = await selectPendingKey(on, clientUuid, now);
  return row?.signature_key;
}

/** Makes the user and its first client, uses up the invite, and remembers that it is done. */
export async function finish(
  tx: Executor,
  registration: Registration,
  first: { connectionPackage: Uint8Array; recoveryKeyHash: Uint8Array; month: number },
): Promise<void> {
  const { userUuid, clientUuid, userName, nameBinding, registrationId } = registration;
  await insertUsedIds(tx, userUuid, clientUuid);
  await insertUser(tx, userUuid, userName, nameBinding);
  const { signatureKey, clientCredential, inviteHash } = registration;
  await insertClient(
    ...([tx, clientUuid, userUuid, signatureKey, first.recoveryKeyHash] as const),
    ...([clientCredential, first.connectionPackage, first.month] as const),
  );
  if (inviteHash !== undefined) await useInvite(tx, inviteHash);
  await markFinished(tx, registrationId);
}

export async function addInvites(on: Executor, hashes: readonly Uint8Array[], until: Date) {
  for (const hash of hashes) await insertInvite(on, hash, until);
}

export async function countInvites(on: Executor, now: Date) {
  const [counts] = await selectInvites(on, now);
  return counts ?? { open: 0n, used: 0n, expired: 0n };
}

export async function forgetRegistrations(on: Executor, now: Date): Promise<void> {
  await deleteExpired(on, now);
}

type Row = Omit<StoredRegistration, 'inviteHash'> & { readonly inviteHash: Uint8Array | null };

function stored(row: Row): StoredRegistration {
  return { ...row, inviteHash: row.inviteHash ?? undefined };
}

const COLUMNS = `registration_id AS "registrationId", request_hash AS "requestHash",
          user_name AS "userName", user_uuid AS "userUuid", client_uuid AS "clientUuid",
          signature_key AS "signatureKey", client_credential AS "clientCredential",
          name_binding AS "nameBinding", invite_hash AS "inviteHash", is_finished AS "isFinished"`;

const lockNames = statement<[userName: string], never>(
  'as_lock_name',
  `SELECT FROM pg_advisory_xact_lock(hashtextextended($1, 7002))`,
);

const deleteExpiredOfName = statement<[userName: string, now: Date], never>(
  'as_delete_expired_of_name',
  `DELETE FROM registrations WHERE user_name = $1 AND expires_at <= $2`,
);

const selectTaken = statement<[userName: string, nameTag: Uint8Array], { taken: boolean }>(
  'as_find_taken_name',
  `SELECT EXISTS (SELECT FROM users WHERE user_name = $1)
       OR EXISTS (SELECT FROM registrations WHERE user_name = $1 AND NOT is_finished)
       OR EXISTS (SELECT FROM retired_names WHERE name_tag = $2) AS taken`,
);

const selectInvite = statement<[codeHash: Uint8Array, now: Date], { found: boolean }>(
  'as_lock_invite',
  `SELECT true AS found FROM invites
    WHERE code_hash = $1 AND expires_at > $2 AND NOT is_used
      FOR UPDATE`,
);

const deleteExpiredOfInvite = statement<[codeHash: Uint8Array, now: Date], never>(
  'as_delete_expired_of_invite',
  `DELETE FROM registrations WHERE invite_hash = $1 AND expires_at <= $2`,
);

const selectReserved = statement<[codeHash: Uint8Array], { found: boolean }>(
  'as_find_reserved_invite',
  `SELECT true AS found FROM registrations WHERE invite_hash = $1 AND NOT is_finished`,
);

const insertRegistration = statement<
  [
    ...[id: Uint8Array, hash: Uint8Array, name: string, user: Uuid, client: Uuid],
    ...[key: Uint8Array, credential: Uint8Array, binding: Uint8Array],
    ...[invite: Uint8Array | null, expiresAt: Date],
  ],
  never
>(
  'as_insert_registration',
  `INSERT INTO registrations
     (registration_id, request_hash, user_name, user_uuid, client_uuid, signature_key,
      client_credential, name_binding, invite_hash, expires_at)
   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
);

const selectRegistration = statement<[registrationId: Uint8Array, now: Date], Row>(
  'as_find_registration',
  `SELECT ${COLUMNS} FROM registrations WHERE registration_id = $1 AND expires_at > $2`,
);

const selectRegistrationForUpdate = statement<[registrationId: Uint8Array, now: Date], Row>(
  'as_lock_registration',
  `SELECT ${COLUMNS} FROM registrations WHERE registration_id = $1 AND expires_at > $2 FOR UPDATE`,
);

const selectPendingKey = statement<[clientUuid: Uuid, now: Date], { signature_key: Uint8Array }>(
  'as_find_pending_key',
  `SELECT signature_key FROM registrations WHERE client_uuid = $1 AND expires_at > $2`,
);

const insertUsedIds = statement<[userUuid: Uuid, clientUuid: Uuid], never>(
  'as_insert_used_ids',
  `INSERT INTO used_ids (uuid) VALUES ($1), ($2)`,
);

const insertUser = statement<[userUuid: Uuid, userName: string, nameBinding: Uint8Array], never>(
  'as_insert_user',
  `INSERT INTO users (user_uuid, user_name, name_binding) VALUES ($1, $2, $3)`,
);

const insertClient = statement<
  [
    ...[client: Uuid, user: Uuid, key: Uint8Array, recovery: Uint8Array],
    ...[credential: Uint8Array, connectionPackage: Uint8Array, month: number],
  ],
  never
>(
  'as_insert_client',
  `INSERT INTO clients
     (client_uuid, user_uuid, signature_key, recovery_key_hash, client_credential,
      connection_package, active_month)
   VALUES ($1, $2, $3, $4, $5, $6, $7)`,
);

const useInvite = statement<[codeHash: Uint8Array], never>(
  'as_use_invite',
  `UPDATE invites SET is_used = true WHERE code_hash = $1`,
);

const markFinished = statement<[registrationId: Uint8Array], never>(
  'as_finish_registration',
  `UPDATE registrations SET is_finished = true WHERE registration_id = $1`,
);

const insertInvite = statement<[codeHash: Uint8Array, until: Date], never>(
  'as_insert_invite',
  `INSERT INTO invites (code_hash, expires_at) VALUES ($1, $2)`,
);

const selectInvites = statement<[now: Date], { open: bigint; used: bigint; expired: bigint }>(
  'as_count_invites',
  `SELECT count(*) FILTER (WHERE NOT is_used AND expires_at > $1) AS open,
          count(*) FILTER (WHERE is_used) AS used,
          count(*) FILTER (WHERE NOT is_used AND expires_at <= $1) AS expired
     FROM invites`,
);

const deleteExpired = statement<[now: Date], never>(
  'as_delete_expired_registrations',
  `DELETE FROM registrations WHERE expires_at <= $1`,
);
