import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

export interface ClientRecord {
  readonly clientId: bigint;
  readonly userId: bigint;
  readonly authKey: Uint8Array;
}

export interface UserRecord {
  readonly userId: bigint;
  readonly authKey: Uint8Array;
}

/** Makes a user record, or finds the one that the key has. */
export async function ensureUser(tx: Executor, uuid: Uuid, authKey: Uint8Array): Promise<Uuid> {
  const [made] = await insertUser(tx, uuid, authKey);
  if (made !== undefined) return made.uuid;
  const [found] = await findUserByKey(tx, authKey);
  return found?.uuid ?? uuid;
}

export const findUser = statement<[uuid: Uuid], UserRecord>(
  'qs_find_user',
  `SELECT user_id AS "userId", auth_key AS "authKey" FROM users WHERE uuid = $1`,
);

export const findClient = statement<[uuid: Uuid], ClientRecord>(
  'qs_find_client',
  `SELECT client_id AS "clientId", user_id AS "userId", auth_key AS "authKey"
     FROM clients WHERE uuid = $1`,
);

/** Keeps others from changing the user's clients and tokens. */
export const lockUser = statement<[userId: bigint], { tokensVersion: bigint }>(
  'qs_lock_user',
  `SELECT tokens_version AS "tokensVersion" FROM users WHERE user_id = $1 FOR UPDATE`,
);

export const findClientByKey = statement<
  [authKey: Uint8Array],
  { uuid: Uuid; userId: bigint; queueKey: Uint8Array }
>(
  'qs_find_client_by_key',
  `SELECT uuid, user_id AS "userId", queue_key AS "queueKey"
     FROM clients JOIN queues USING (client_id)
    WHERE auth_key = $1`,
);

export const countClients = statement<[userId: bigint], { count: bigint }>(
  'qs_count_clients',
  `SELECT count(*) AS count FROM clients WHERE user_id = $1`,
);

/** Nothing where the key is in use. */
export const insertClient = statement<
  [uuid: Uuid, userId: bigint, authKey: Uint8Array, month: number],
  { clientId: bigint }
>(
  'qs_insert_client',
  `INSERT INTO clients (uuid, user_id, auth_key, active_month) VALUES ($1, $2, $3, $4)
   ON CONFLICT (auth_key) DO NOTHING
   RETURNING client_id AS "clientId"`,
);

export const deleteClient = statement<[clientId: bigint], never>(
  'qs_delete_client',
  `DELETE FROM clients WHERE client_id = $1`,
);

export const touchClient = statement<[clientId: bigint, month: number], never>(
  'qs_touch_client',
  `UPDATE clients SET active_month = $2 WHERE client_id = $1 AND active_month <> $2`,
);

/** Replaces all; the user is locked. */
export const replaceTokens = statement<
  [userId: bigint, hashes: readonly Uint8Array[], version: bigint],
  never
>(
  'qs_replace_tokens',
  `WITH wanted AS (SELECT DISTINCT unnest($2::bytea[]) AS token_hash),
        gone AS (
          DELETE FROM friendship_tokens
           WHERE user_id = $1 AND token_hash NOT IN (SELECT token_hash FROM wanted)
        ), made AS (
          INSERT INTO friendship_tokens (token_hash, user_id)
          SELECT token_hash, $1 FROM wanted
          ON CONFLICT DO NOTHING
        )
   UPDATE users SET tokens_version = $3 WHERE user_id = $1`,
);

/** The clients that a friendship token opens. */
export const findClientsByToken = statement<[tokenHash: Uint8Array], { clientId: bigint }>(
  'qs_find_clients_by_token',
  `SELECT client_id AS "clientId"
     FROM clients
    WHERE user_id = (SELECT min(user_id) FROM friendship_tokens WHERE token_hash = $1)
    ORDER BY client_id`,
);

const insertUser = statement<[uuid: Uuid, authKey: Uint8Array], { uuid: Uuid }>(
  'qs_insert_user',
  `INSERT INTO users (uuid, auth_key) VALUES ($1, $2)
   ON CONFLICT (auth_key) DO NOTHING
   RETURNING uuid`,
);

const findUserByKey = statement<[authKey: Uint8Array], { uuid: Uuid }>(
  'qs_find_user_by_key',
  `SELECT uuid FROM users WHERE auth_key = $1`,
);
