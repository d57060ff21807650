/**
 * Every reason for which Roost refuses, and the gRPC status that goes with it. This table is the
 * page that client authors read: branch on the reason, never on the message.
 */
export const REASONS = {
  /** A field is missing, too long, or not what its comment in the proto says. */
  MALFORMED: 'INVALID_ARGUMENT',
  /** An MLS object does not decode, or breaks a rule of RFC 9420; the message names the section. */
  INVALID_MLS: 'INVALID_ARGUMENT',
  /** A proposal may not stand in this commit (RFC 9420 §12.2), or is unknown in this epoch. */
  INVALID_PROPOSAL: 'INVALID_ARGUMENT',
  /** The GroupInfo of a commit is not the one that the commit leads to. */
  GROUP_INFO_MISMATCH: 'INVALID_ARGUMENT',
  /** The Welcome does not cover exactly the clients that the commit adds. */
  WELCOME_MISMATCH: 'INVALID_ARGUMENT',
  /** Larger than the limit that the rule of the method sets. */
  TOO_LARGE: 'INVALID_ARGUMENT',
  /** The method needs a signed request and there was none, or its signature does not hold. */
  UNAUTHENTICATED: 'UNAUTHENTICATED',
  /** The request was signed more than two minutes ago or ahead; `server_time_ms` tells our time. */
  CLOCK_SKEW: 'UNAUTHENTICATED',
  /** This signed request was seen before. */
  REPLAYED: 'UNAUTHENTICATED',
  /** The method costs a token and there was none, or it is not good for this method. */
  TOKEN_REQUIRED: 'UNAUTHENTICATED',
  /** The token's signature does not hold, or its key is unknown or retired. */
  TOKEN_INVALID: 'UNAUTHENTICATED',
  /** The token was spent before. */
  TOKEN_SPENT: 'UNAUTHENTICATED',
  /** A homeserver's envelope is not for us, does not fit what it goes with, or does not verify. */
  BAD_ENVELOPE: 'UNAUTHENTICATED',
  /** The account was suspended by the operator. */
  SUSPENDED: 'PERMISSION_DENIED',
  /** The policy of the room, or the rule of the method, does not allow it. */
  NOT_ALLOWED: 'PERMISSION_DENIED',
  /** The other domain is not one that this homeserver exchanges messages with. */
  FEDERATION_DENIED: 'PERMISSION_DENIED',
  /** The invite code is missing, wrong or used. */
  INVITE_REQUIRED: 'PERMISSION_DENIED',
  /** No such user, or one that does not want to be found: the answer is the same. */
  USER_UNKNOWN: 'NOT_FOUND',
  /** No such group here, or none that the caller is a member of: the answer is the same. */
  GROUP_UNKNOWN: 'NOT_FOUND',
  /** No such queue, client or user record. */
  QUEUE_UNKNOWN: 'NOT_FOUND',
  /** No such method. */
  METHOD_UNKNOWN: 'UNIMPLEMENTED',
  /** The user name is taken. */
  NAME_TAKEN: 'ALREADY_EXISTS',
  /** The id is in use. */
  ALREADY_EXISTS: 'ALREADY_EXISTS',
  /** The same id was used before with other content. */
  ID_REUSED: 'ALREADY_EXISTS',
  /** A homeserver used the same message id before, for something else. */
  REPLAY_MISMATCH: 'ABORTED',
  /** The message was made for an epoch that is too long ago; catch up and send it again. */
  EPOCH_TOO_OLD: 'ABORTED',
  /** The message was made for an epoch that is not reached yet. */
  EPOCH_UNKNOWN: 'FAILED_PRECONDITION',
  /** The group was given up for another one (ReInit): it is only read any more. */
  GROUP_FROZEN: 'FAILED_PRECONDITION',
  /** The claim found no KeyPackage at all. */
  KEY_PACKAGES_EXHAUSTED: 'FAILED_PRECONDITION',
  /**
   * Another homeserver cannot be reached now; what it was asked may be asked again. Not UNAVAILABLE, after which a
   * proxy would send nothing more to the service of ours that says so.
   */
  PEER_UNAVAILABLE: 'FAILED_PRECONDITION',
  /** The tokens of this period are drawn; `retry_after_ms` tells when the next period begins. */
  ALLOWANCE_EXHAUSTED: 'RESOURCE_EXHAUSTED',
  /** This number of a batch was used with other content; `lowest_free` tells the next. */
  BATCH_USED: 'ALREADY_EXISTS',
  /** Too many at once; `retry_after_ms` tells when to come back. */
  RATE_LIMITED: 'RESOURCE_EXHAUSTED',
  /** The queue takes no more until it is read. */
  QUEUE_FULL: 'RESOURCE_EXHAUSTED',
  /** A limit on how many of something one may have. */
  LIMIT_REACHED: 'RESOURCE_EXHAUSTED',
  /** Another listener took over this queue. */
  LISTENER_REPLACED: 'ABORTED',
  /** This process is being drained: connect again, after a moment of your own choosing. */
  DRAINING: 'UNAVAILABLE',
  /** Something that we stand on is away; nothing was changed, or the request may be sent again. */
  UNAVAILABLE: 'UNAVAILABLE',
} as const;

export type Reason = keyof typeof REASONS;

/** Facts that let a caller go on by itself. Each is sent only where it is set. */
export interface FailureFacts {
  /** The field that is wrong, as it is named in the proto. */
  readonly field?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly serverTimeMs?: bigint | undefined;
  readonly currentEpoch?: bigint | undefined;
  readonly lowestFree?: number | undefined;
  /** The homeserver that cannot be reached. */
  readonly peer?: string | undefined;
}

/** A refusal that the caller should hear. Nothing was changed by the refused request. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly reason: Reason;
  readonly facts: FailureFacts;

  constructor(reason: Reason, message: string, facts: FailureFacts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.facts = facts;
  }
}

/** Refuses a field by its name in the proto. */
export function malformed(field: string, message: string): Failure {
  return new Failure('MALFORMED', `${field}: ${message}`, { field });
}
