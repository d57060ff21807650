import { malformed } from '@roost/core/failure';
import { DAY_MS } from '@roost/core/time';
import type { AuthenticationAdminServiceDefinition } from '@roost/proto/roost/authentication/v1/authentication';
import type { Handlers } from '@roost/rpc/service';
import { addInvites, countInvites } from '../store/registrations.ts';
import type { Dependencies } from './dependencies.ts';
import { inviteHashOf } from './registration.ts';

const INVITES_MAX = 1_000;
const VALID_DAYS = 30;
const VALID_DAYS_MAX = 365;
/** Without the letters and digits that are taken for each other; 20 of them are 99 bits. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
const CODE_GROUPS = [5, 5, 5, 5];

/** Codes by which strangers may register. */
export function inviteHandlers(
  parts: Dependencies,
): Pick<Handlers<typeof AuthenticationAdminServiceDefinition>, 'createInvites' | 'listInvites'> {
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
