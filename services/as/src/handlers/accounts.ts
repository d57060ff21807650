import { Failure } from '@roost/core/failure';
import { parseUserName, scopedWire, UserId } from '@roost/core/ids';
import {
  type AuthenticationServiceDefinition,
  RegistrationRule,
} from '@roost/proto/roost/authentication/v1/authentication';
import { callingClient, type Handlers } from '@roost/rpc/service';
import * as store from '../store/clients.ts';
import {
  checkConnectionPackage,
  type Dependencies,
  requireLocal,
  spendOnce,
} from './dependencies.ts';

type AccountHandlers = Pick<
  Handlers<typeof AuthenticationServiceDefinition>,
  'getHomeserver' | 'getPublicKeys' | 'publishConnectionPackage' | 'findUser'
>;

/** What groups may have here: suites with Ed25519 (`suites` of the DS). */
const CIPHERSUITES = [1, 3];
const MESSAGE_BYTES_MAX = 262_144;
const HANDSHAKE_BYTES_MAX = 2_097_152;

/** What the homeserver is, and who its users are. */
export function accountHandlers(parts: Dependencies): AccountHandlers {
  const { clock, database, domain, signing } = parts;
  const registration =
    parts.registration === 'open' ? RegistrationRule.OPEN : RegistrationRule.INVITE;
  return {
    async getHomeserver() {
      return {
        domain,
        protocolVersion: 1,
        registration,
        ciphersuites: CIPHERSUITES,
        messageBytesMax: MESSAGE_BYTES_MAX,
        handshakeBytesMax: HANDSHAKE_BYTES_MAX,
        serverTimeMs: BigInt(clock.now()),
      };
    },

    async getPublicKeys() {
      return await signing.published();
    },

    async publishConnectionPackage({ connectionPackage }, context) {
      const clientId = callingClient(context);
      await checkConnectionPackage(connectionPackage, clientId, parts);
      await database.transaction(async (tx) => {
        await spendOnce(tx, context, parts);
        await store.replaceConnectionPackage(tx, clientId.uuid, connectionPackage);
      });
      return {};
    },

    async findUser(request) {
      const { name } = requireLocal(parseUserName(request.userName, domain), domain);
      const user = await store.findUser(database, name);
      // Users that do not want to be found and users that there are not: one answer.
      if (user === undefined) throw new Failure('USER_UNKNOWN', 'there is no such user');
      const { userUuid, nameBinding, connectionPackages } = user;
      return { userId: scopedWire(UserId.of(userUuid, domain)), nameBinding, connectionPackages };
    },
  };
}
