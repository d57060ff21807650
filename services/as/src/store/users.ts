import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

/** A user, as the operator sees it. */
export interface KnownUser {
  readonly userUuid: Uuid;
  readonly userName: string;
  readonly isSuspended: boolean;
  readonly isSearchable: boolean;
  readonly generalAllowance: number | null;
  readonly contactAllowance: number | null;
  readonly clients: bigint;
}

/** How the operator names a user. */
export type Choice = { readonly userUuid: Uuid } | { readonly userName: string };

export interface Page {
  /** The last name of the page before. */
  readonly after: string;
  readonly prefix: string;
  readonly isSuspendedOnly: boolean;
  readonly rowsMax: number;
}

export async function listUsers(on: Executor, page: Page): Promise<readonly KnownUser[]> {
  const { after, prefix, isSuspendedOnly, rowsMax } = page;
  return await selectPage(on, after, prefix, isSuspendedOnly, rowsMax);
}

export async function findKnown(on: Executor, choice: Choice): Promise<KnownUser | undefined> {
  const [user] =
    'userUuid' in choice
      ? await selectById(on, choice.userUuid)
      : await selectByName(on, choice.userName);
  return user;
}

/** The same, and nobody else changes it until `tx` ends. */
export async function lockKnown(tx: Executor, choice: Choice): Promise<KnownUser | undefined> {
  const user = await findKnown(tx, choice);
  if (user === undefined) return undefined;
  const [locked] = await lockUser(tx, user.userUuid);
  return locked === undefined ? undefined : await findKnown(tx, { userUuid: user.userUuid });
}

export const findClientsOf = statement<
  [userUuid: Uuid],
  { clientUuid: Uuid; activeMonth: number; directMessages: bigint }
>(
  'as_find_clients_of_user',
  `SELECT client_uuid AS "clientUuid", active_month AS "activeMonth",
          (SELECT count(*) FROM direct_messages
            WHERE direct_messages.client_uuid = clients.client_uuid) AS "directMessages"
     FROM clients WHERE user_uuid = $1 ORDER BY client_uuid`,
);

export const setSuspended = statement<[userUuid: Uuid, isSuspended: boolean], never>(
  'as_set_suspended',
  `UPDATE users SET is_suspended = $2 WHERE user_uuid = $1`,
);

/** Ends what listens to the direct queues of a user; gives its clients. */
export async function dismissListeners(tx: Executor, userUuid: Uuid): Promise<readonly Uuid[]> {
  return (await raiseListeners(tx, userUuid)).map(({ clientUuid }) => clientUuid);
}

export const setAllowances = statement<
  [userUuid: Uuid, general: number | null, contact: number | null],
  never
>(
  'as_set_allowances',
  `UPDATE users SET general_allowance = $2, contact_allowance = $3 WHERE user_uuid = $1`,
);

/** Takes a locked user and all that is its own away; its name stays taken. */
export async function deleteUser(
  tx: Executor,
  userUuid: Uuid,
  nameTag: Uint8Array,
): Promise<readonly Uuid[]> {
  await retireName(tx, nameTag);
  const clients = await deleteClients(tx, userUuid);
  await deleteMessageIds(tx, userUuid);
  await deleteRegistrations(tx, userUuid);
  await deleteRow(tx, userUuid);
  return clients.map(({ clientUuid }) => clientUuid);
}

const COLUMNS = `user_uuid AS "userUuid", user_name AS "userName", is_suspended AS "isSuspended",
          is_searchable AS "isSearchable", general_allowance AS "generalAllowance",
          contact_allowance AS "contactAllowance",
          (SELECT count(*) FROM clients WHERE clients.user_uuid = users.user_uuid) AS clients`;

const selectPage = statement<
  [after: string, prefix: string, isSuspendedOnly: boolean, rowsMax: number],
  KnownUser
>(
  'as_list_users',
  `SELECT ${COLUMNS}
     FROM users
    WHERE user_name > $1 AND starts_with(user_name, $2) AND (is_suspended OR NOT $3)
    ORDER BY user_name
    LIMIT $4`,
);

const selectById = statement<[userUuid: Uuid], KnownUser>(
  'as_find_known_by_id',
  `SELECT ${COLUMNS} FROM users WHERE user_uuid = $1`,
);

const selectByName = statement<[userName: string], KnownUser>(
  'as_find_known_by_name',
  `SELECT ${COLUMNS} FROM users WHERE user_name = $1`,
);

const lockUser = statement<[userUuid: Uuid], { found: boolean }>(
  'as_lock_user',
  `SELECT true AS found FROM users WHERE user_uuid = $1 FOR UPDATE`,
);

const raiseListeners = statement<[userUuid: Uuid], { clientUuid: Uuid }>(
  'as_raise_listeners_of_user',
  `UPDATE clients SET listener = listener + 1 WHERE user_uuid = $1
   RETURNING client_uuid AS "clientUuid"`,
);

const retireName = statement<[nameTag: Uint8Array], never>(
  'as_retire_name',
  `INSERT INTO retired_names (name_tag) VALUES ($1) ON CONFLICT DO NOTHING`,
);

const deleteClients = statement<[userUuid: Uuid], { clientUuid: Uuid }>(
  'as_delete_clients_of_user',
  `DELETE FROM clients WHERE user_uuid = $1 RETURNING client_uuid AS "clientUuid"`,
);

const deleteMessageIds = statement<[userUuid: Uuid], never>(
  'as_delete_message_ids_of_user',
  `DELETE FROM direct_message_ids WHERE user_uuid = $1`,
);

const deleteRegistrations = statement<[userUuid: Uuid], never>(
  'as_delete_registrations_of_user',
  `DELETE FROM registrations WHERE user_uuid = $1`,
);

const deleteRow = statement<[userUuid: Uuid], never>(
  'as_delete_user',
  `DELETE FROM users WHERE user_uuid = $1`,
);
