import { Failure } from '@roost/core/failure';
import { ClientId } from '@roost/core/ids';
import type { AuthenticationInternalServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import type { Handlers } from '@roost/rpc/service';
import { findClient } from '../store/clients.ts';
import { requireLocal, type Dependencies } from './dependencies.ts';

/** What the AAS asks. */
export function internalHandlers({
  database,
  domain,
  signing,
}: Dependencies): Handlers<typeof AuthenticationInternalServiceDefinition> {
  return {
    async getClient(request) {
      const { user, uuid } = ClientId.parse(request.clientId, 'client_id');
      requireLocal(user, domain);
      const client = await findClient(database, user.uuid, uuid);
      if (client === undefined) throw new Failure('USER_UNKNOWN', 'there is no such client');
      return {
        signatureKey: client.signatureKey,
        isSuspended: client.isSuspended,
        generalAllowance: client.generalAllowance ?? undefined,
        contactAllowance: client.contactAllowance ?? undefined,
      };
    },

    async signIssuerKeys({ keySet }) {
      return signing.signIssuerKeys(keySet);
    },
  };
}
