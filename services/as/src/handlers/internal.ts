import { Failure, malformed } from '@roost/core/failure';
import { ClientId } from '@roost/core/ids';
import { DAY_MS } from '@roost/core/time';
import type {
  AuthenticationAdminServiceDefinition,
  AuthenticationInternalServiceDefinition,
} from '@roost/proto/roost/authentication/v1/authentication';
import type { Handlers } from '@roost/rpc/service';
import { findClient } from '../store/clients.ts';
import { addInvites, countInvites } from '../store/registrations.ts';
import { requireLocal, type Dependencies } from './dependencies.ts';
import { inviteHashOf } from './registration.ts';

const INVITES_MAX = 1_000;
const VALID_DAYS = 30;
const VALID_DAYS_MAX = 365;
/** Without the letters and digits that are taken for each other; 20 of them are 99 bits. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
const CODE_GROUPS = [5, 5, 5, 5];

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

/** What the operator asks. */
export function adminHandlers(
  parts: Dependencies,
): Handlers<typeof AuthenticationAdminServiceDefinition> {
  const { clock, crypto, database, events } = parts;
  return {
    async createInvites({ count, validDays }) {
      if (count < 1 || count > INVITES_MAX) throw malformed('count', `is not 1 to ${INVITES_MAX}`);
      if (validDays > VALID_DAYS_MAX)
        throw malformed('valid_days', `is more than ${VALID_DAYS_MAX}`);
      const days = validDays === 0 ? VALID_DAYS : validDays;
      const codes = Array.from({ length: count }, () => drawCode(crypto.random));
      const hashes = codes.map((code) => inviteHashOf(crypto, code));
      const until = new Date(clock.now() + days * DAY_MS);
      await database.transaction(async (tx) => await addInvites(tx, hashes, until));
      events.invitesMade(count);
      return { codes };
    },

    async listInvites() {
      return await countInvites(database, new Date(clock.now()));
    },
  };
}

function drawCode(random: (size: number) => Uint8Array): string {
  return CODE_GROUPS.map((size) => drawLetters(random, size)).join('-');
}

/** Bytes that would make some letters likelier than others are drawn again. */
function drawLetters(random: (size: number) => Uint8Array, size: number): string {
  let letters = '';
  while (letters.length < size) {
    const [byte = 255] = random(1);
    if (byte < ALPHABET.length * Math.floor(256 / ALPHABET.length)) {
      letters += ALPHABET[byte % ALPHABET.length];
    }
  }
  return letters;
}
