import { Failure, type Reason } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';

/**
 * What our clients hear of what another homeserver said: reasons that speak of their request. Whatever
 * would have them do something at home (fetch tokens, set their clocks, believe that they are suspended,
 * connect elsewhere) is the peer's trouble and not theirs.
 */
const PASSING: ReadonlySet<Reason> = new Set<Reason>([
  ...(['MALFORMED', 'INVALID_MLS', 'INVALID_PROPOSAL', 'GROUP_INFO_MISMATCH'] as const),
  ...(['WELCOME_MISMATCH', 'TOO_LARGE', 'UNAUTHENTICATED', 'REPLAYED', 'NOT_ALLOWED'] as const),
  ...(['FEDERATION_DENIED', 'USER_UNKNOWN', 'GROUP_UNKNOWN', 'QUEUE_UNKNOWN'] as const),
  ...(['METHOD_UNKNOWN', 'ALREADY_EXISTS', 'ID_REUSED', 'EPOCH_TOO_OLD', 'EPOCH_UNKNOWN'] as const),
  ...(['GROUP_FROZEN', 'KEY_PACKAGES_EXHAUSTED', 'RATE_LIMITED', 'QUEUE_FULL'] as const),
  ...(['LIMIT_REACHED', 'UNAVAILABLE'] as const),
]);
/** A peer does not keep our clients away for longer. */
const RETRY_AFTER_MS_MAX = 60_000;

/** What another homeserver's refusal, or what went wrong on the way, is to who asked here. */
export function asHeardHere(domain: Domain, error: unknown): Failure {
  if (!(error instanceof Failure) || !PASSING.has(error.reason)) {
    return new Failure('UNAVAILABLE', `${domain} could not answer`, {}, error);
  }
  const { field, currentEpoch, retryAfterMs } = error.facts;
  return new Failure(error.reason, error.message, {
    ...{ field, currentEpoch },
    retryAfterMs: retryAfterMs && Math.min(RETRY_AFTER_MS_MAX, retryAfterMs),
  });
}
