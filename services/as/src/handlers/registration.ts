import { equal, utf8 } from '@roost/core/bytes';
import { Failure, malformed } from '@roost/core/failure';
import {
  ClientId,
  clientWire,
  parseUserName,
  scopedWire,
  UserId,
  uuidOf,
  type UserName,
} from '@roost/core/ids';
import { monthOf } from '@roost/core/time';
import { encode } from '@roost/core/tls';
import type { Crypto } from '@roost/crypto/crypto';
import { readClientCredential, readClientCredentialRequest } from '@roost/identity/credentials';
import type {
  AuthenticationServiceDefinition,
  BeginRegistrationRequest,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { Executor } from '@roost/postgres/executor';
import { callingClient, callingKey, type Handlers } from '@roost/rpc/service';
import { begin, RESERVATION_MS } from '../domain/registration.ts';
import * as clients from '../store/clients.ts';
import * as store from '../store/registrations.ts';
import {
  checkConnectionPackage,
  type Dependencies,
  requireLocal,
  spendOnce,
} from './dependencies.ts';

type RegistrationHandlers = Pick<
  Handlers<typeof AuthenticationServiceDefinition>,
  'beginRegistration' | 'finishRegistration' | 'renewCredential'
>;

const REGISTRATION_ID_BYTES = 16;
const INVITE_CHARS_MAX = 128;

/** How a user comes to be, and how its credential goes on. */
export function registrationHandlers(parts: Dependencies): RegistrationHandlers {
  const { clock, crypto, database, domain, events, signing } = parts;
  return {
    async beginRegistration(request, context) {
      const asked = parseBeginning(request, parts);
      if (!equal(asked.signatureKey, callingKey(context))) {
        throw malformed('credential_request', 'is not of the key that signed the request');
      }
      const made = await database.transaction(async (tx) => await reserve(tx, asked, parts));
      const user = UserId.of(made.userUuid, domain);
      return {
        userId: scopedWire(user),
        clientId: clientWire(ClientId.of(user, made.clientUuid)),
        clientCredential: made.clientCredential,
        nameBinding: made.nameBinding,
      };
    },

    async finishRegistration({ registrationId, connectionPackage }, context) {
      const clientId = callingClient(context);
      await checkConnectionPackage(connectionPackage, clientId, parts);
      const isNew = await database.transaction(async (tx) => {
        const now = new Date(clock.now());
        const registration = await store.lockRegistration(tx, registrationId, now);
        if (registration?.clientUuid !== clientId.uuid) {
          throw malformed('registration_id', 'is unknown or has expired: register anew');
        }
        if (registration.isFinished) return false;
        const { recoveryKeyHash } = readClientCredential(registration.clientCredential);
        const month = monthOf(clock.now());
        await store.finish(tx, registration, { connectionPackage, recoveryKeyHash, month });
        return true;
      });
      if (isNew) events.registered();
      return {};
    },

    async renewCredential({ credentialRequest }, context) {
      const clientId = callingClient(context);
      const asked = readClientCredentialRequest(crypto, credentialRequest);
      const client = await clients.findClient(database, clientId.user.uuid, clientId.uuid);
      if (client === undefined) throw new Failure('USER_UNKNOWN', 'there is no such client');
      const isSame =
        equal(asked.publicKey, client.signatureKey) &&
        equal(asked.recoveryKeyHash, client.recoveryKeyHash);
      if (!isSame) {
        throw malformed('credential_request', 'has another key or recovery key than the account');
      }
      const issued = signing.issue(credentialRequest, clientId, { name: client.userName, domain });
      const ids = { userUuid: clientId.user.uuid, clientUuid: clientId.uuid };
      await database.transaction(async (tx) => {
        await spendOnce(tx, context, parts);
        await clients.replaceCredential(tx, ids, issued);
      });
      return issued;
    },
  };
}

/** Codes are typed by people: blanks, dashes and case do not matter. */
export function inviteHashOf(crypto: Crypto, code: string): Uint8Array {
  return crypto.sha256(utf8(`invite ${code.replaceAll(/[\s-]/g, '').toLowerCase()}`));
}

interface Beginning {
  readonly registrationId: Uint8Array;
  readonly credentialRequest: Uint8Array;
  readonly userName: UserName;
  readonly signatureKey: Uint8Array;
  readonly inviteHash: Uint8Array;
  readonly requestHash: Uint8Array;
}

function parseBeginning(request: BeginRegistrationRequest, parts: Dependencies): Beginning {
  const { crypto, domain } = parts;
  const { registrationId, credentialRequest, inviteCode } = request;
  if (registrationId.length !== REGISTRATION_ID_BYTES) {
    throw malformed('registration_id', `is not ${REGISTRATION_ID_BYTES} bytes long`);
  }
  if (inviteCode.length > INVITE_CHARS_MAX) throw malformed('invite_code', 'is too long');
  const userName = requireLocal(parseUserName(request.userName, domain), domain);
  const { publicKey } = readClientCredentialRequest(crypto, credentialRequest);
  const content = encode((w) => w.text(userName.name).opaque(credentialRequest).text(inviteCode));
  return {
    registrationId,
    credentialRequest,
    userName,
    signatureKey: publicKey,
    inviteHash: inviteHashOf(crypto, inviteCode),
    requestHash: crypto.sha256(content),
  };
}

async function reserve(tx: Executor, asked: Beginning, parts: Dependencies) {
  const { clock, crypto, domain, nameTag, registration: rule, signing } = parts;
  const now = new Date(clock.now());
  const userName = asked.userName.name;
  const name = { userName, nameTag: nameTag(userName) };
  const isNameTaken = await store.lockName(tx, name, now);
  const earlier = await store.findRegistration(tx, asked.registrationId, now);
  const isInviteGood =
    rule === 'invite' &&
    earlier === undefined &&
    (await store.lockInvite(tx, asked.inviteHash, now));
  const decision = begin({ earlier, isNameTaken, rule, isInviteGood }, asked.requestHash);
  if (decision === 'repeat' && earlier !== undefined) return earlier;

  const user = UserId.of(uuidOf(crypto.random(16)), domain);
  const clientId = ClientId.of(user, uuidOf(crypto.random(16)));
  const made = {
    ...signing.issue(asked.credentialRequest, clientId, asked.userName),
    registrationId: asked.registrationId,
    requestHash: asked.requestHash,
    signatureKey: asked.signatureKey,
    userName,
    userUuid: user.uuid,
    clientUuid: clientId.uuid,
    inviteHash: rule === 'invite' ? asked.inviteHash : undefined,
  };
  await store.addRegistration(tx, made, new Date(clock.now() + RESERVATION_MS));
  return made;
}
