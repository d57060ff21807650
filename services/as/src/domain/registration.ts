import { equal } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { MINUTE_MS } from '@roost/core/time';

/** Nothing is kept of a registration that is not finished within this time (design §7). */
export const RESERVATION_MS = 10 * MINUTE_MS;

/** What is known when somebody begins to register. */
export interface Situation {
  /** The registration with the same id, where the request comes again. */
  readonly earlier: { readonly requestHash: Uint8Array } | undefined;
  readonly isNameTaken: boolean;
  readonly rule: 'open' | 'invite';
  /** Whether the invite code is good, unused and not reserved by another. */
  readonly isInviteGood: boolean;
}

export type Beginning = 'reserve' | 'repeat';

/** Decides whether a registration begins. The same request again gets the answer that it had. */
export function begin(situation: Situation, requestHash: Uint8Array): Beginning {
  if (situation.earlier !== undefined) {
    if (equal(situation.earlier.requestHash, requestHash)) return 'repeat';
    throw new Failure('ID_REUSED', 'registration_id: was used with another request', {
      field: 'registration_id',
    });
  }
  if (situation.rule === 'invite' && !situation.isInviteGood) {
    throw new Failure('INVITE_REQUIRED', 'invite_code: is not one that is good and unused', {
      field: 'invite_code',
    });
  }
  if (situation.isNameTaken) {
    throw new Failure('NAME_TAKEN', 'user_name: is taken', { field: 'user_name' });
  }
  return 'reserve';
}
