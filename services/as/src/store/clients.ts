import type { Uuid } from '@roost/core/ids';
import type { Executor } from '@roost/postgres/executor';
import { statement } from '@roost/postgres/statement';

export interface StoredClient {
  readonly signatureKey: Uint8Array;
  readonly recoveryKeyHash: Uint8Array;
  readonly userName: string;
  readonly isSuspended: boolean;
  readonly generalAllowance: number | null;
  readonly contactAllowance: number | null;
}

export async function findClient(on: Executor, userUuid: Uuid, clientUuid: Uuid) {
  const [client] = await selectClient(on, userUuid, clientUuid);
  return client;
}

/** A user that may be found by name, with the connection package of each client. */
export async function findUser(on: Executor, userName: string) {
  const rows = await selectUser(on, userName);
  const [first] = rows;
  return (
    first && {
      ...first,
      connectionPackages: rows.map(({ connectionPackage }) => connectionPackage),
    }
  );
}

export async function replaceConnectionPackage(on: Executor, clientUuid: Uuid, tls: Uint8Array) {
  await updateConnectionPackage(on, clientUuid, tls);
}

export async function replaceCredential(
  tx: Executor,
  { userUuid, clientUuid }: { userUuid: Uuid; clientUuid: Uuid },
  { clientCredential, nameBinding }: { clientCredential: Uint8Array; nameBinding: Uint8Array },
): Promise<void> {
  await updateCredential(tx, clientUuid, clientCredential);
  await updateNameBinding(tx, userUuid, nameBinding);
}

const selectClient = statement<[userUuid: Uuid, clientUuid: Uuid], StoredClient>(
  'as_find_client',
  `SELECT signature_key AS "signatureKey", recovery_key_hash AS "recoveryKeyHash",
          user_name AS "userName", is_suspended AS "isSuspended",
          general_allowance AS "generalAllowance", contact_allowance AS "contactAllowance"
     FROM clients JOIN users USING (user_uuid)
    WHERE user_uuid = $1 AND client_uuid = $2`,
);

const selectUser = statement<
  [userName: string],
  { userUuid: Uuid; nameBinding: Uint8Array; connectionPackage: Uint8Array }
>(
  'as_find_user',
  `SELECT user_uuid AS "userUuid", name_binding AS "nameBinding",
          connection_package AS "connectionPackage"
     FROM users JOIN clients USING (user_uuid)
    WHERE user_name = $1 AND is_searchable AND NOT is_suspended
    ORDER BY client_uuid`,
);

const updateConnectionPackage = statement<[clientUuid: Uuid, tls: Uint8Array], never>(
  'as_update_connection_package',
  `UPDATE clients SET connection_package = $2 WHERE client_uuid = $1`,
);

const updateCredential = statement<[clientUuid: Uuid, tls: Uint8Array], never>(
  'as_update_credential',
  `UPDATE clients SET client_credential = $2 WHERE client_uuid = $1`,
);

const updateNameBinding = statement<[userUuid: Uuid, tls: Uint8Array], never>(
  'as_update_name_binding',
  `UPDATE users SET name_binding = $2 WHERE user_uuid = $1`,
);
