import { Failure, type FailureFacts, type Reason, REASONS } from '@roost/core/failure';
import { BadRequest, ErrorInfo, RetryInfo } from '@roost/proto/google/rpc/error_details';
import { Status } from '@roost/proto/google/rpc/status';

/** The gRPC status codes (google.rpc.Code). */
export const CODES = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** How a call ended, as it stands in the trailers. */
export interface CallStatus {
  readonly code: number;
  readonly message: string;
  /** google.rpc.Status, encoded; absent where there is nothing to add. */
  readonly details?: Uint8Array;
}

/** What the server could not explain: a bug of its own, or a proxy between. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export const OK: CallStatus = { code: CODES.OK, message: '' };
export const INTERNAL: CallStatus = { code: CODES.INTERNAL, message: 'internal error' };
/** The time of a call is up, whether it was its own or ours. */
export const TOO_LATE: CallStatus = {
  code: CODES.DEADLINE_EXCEEDED,
  message: 'the call took too long',
};

const ERROR_DOMAIN = 'roost';
const TYPE = 'type.googleapis.com/google.rpc.';
/** Longer details hang clients (design §2): the message is the only part of unbounded length. */
const MESSAGE_CHARACTERS_MAX = 512;

/** A refusal as the caller hears it. */
export function statusOf(failure: Failure): CallStatus {
  const code = CODES[REASONS[failure.reason]];
  const message = failure.message.slice(0, MESSAGE_CHARACTERS_MAX);
  const { field, retryAfterMs } = failure.facts;
  const details = [
    detail(
      'ErrorInfo',
      ErrorInfo.encode({
        reason: failure.reason,
        domain: ERROR_DOMAIN,
        metadata: metadataOf(failure.facts),
      }),
    ),
  ];
  if (retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(retryAfterMs / 1_000)),
      nanos: Math.floor(retryAfterMs % 1_000) * 1_000_000,
    };
    details.push(detail('RetryInfo', RetryInfo.encode({ retryDelay })));
  }
  if (field !== undefined) {
    const fieldViolations = [
      { field: field.slice(0, MESSAGE_CHARACTERS_MAX), description: message },
    ];
    details.push(detail('BadRequest', BadRequest.encode({ fieldViolations })));
  }
  return { code, message, details: Status.encode({ code, message, details }).finish() };
}

/** What a caller throws for a status that is not OK: our refusal again, where it was one. */
export function errorOf({ code, message, details }: CallStatus): Failure | ServerError {
  const failure = details === undefined ? undefined : readDetails(message, details);
  if (failure !== undefined) return failure;
  const reason = BY_CODE[code];
  return reason === undefined ? new ServerError(code, message) : new Failure(reason, message);
}

/** What a status without our details means: it was made by a proxy, or by the transport itself. */
const BY_CODE: Readonly<Record<number, Reason>> = {
  [CODES.CANCELLED]: 'UNAVAILABLE',
  [CODES.DEADLINE_EXCEEDED]: 'UNAVAILABLE',
  [CODES.UNAVAILABLE]: 'UNAVAILABLE',
  [CODES.RESOURCE_EXHAUSTED]: 'RATE_LIMITED',
  [CODES.UNIMPLEMENTED]: 'METHOD_UNKNOWN',
  [CODES.UNAUTHENTICATED]: 'UNAUTHENTICATED',
  [CODES.PERMISSION_DENIED]: 'NOT_ALLOWED',
};

function detail(name: string, message: { finish(): Uint8Array }) {
  return { typeUrl: TYPE + name, value: message.finish() };
}

function metadataOf({ serverTimeMs, currentEpoch, lowestFree, peer }: FailureFacts) {
  const metadata: Record<string, string> = {};
  if (serverTimeMs !== undefined) metadata['server_time_ms'] = String(serverTimeMs);
  if (currentEpoch !== undefined) metadata['current_epoch'] = String(currentEpoch);
  if (lowestFree !== undefined) metadata['lowest_free'] = String(lowestFree);
  if (peer !== undefined) metadata['peer'] = peer;
  return metadata;
}

function readDetails(message: string, encoded: Uint8Array): Failure | undefined {
  try {
    const { details } = Status.decode(encoded);
    const find = (name: string) => details.find((each) => each.typeUrl === TYPE + name)?.value;
    const info = find('ErrorInfo');
    if (info === undefined) return undefined;
    const { reason, domain, metadata } = ErrorInfo.decode(info);
    if (domain !== ERROR_DOMAIN || !isReason(reason)) return undefined;
    const facts = {
      ...factsOf(metadata),
      ...retryOf(find('RetryInfo')),
      ...fieldOf(find('BadRequest')),
    };
    return new Failure(reason, message, facts);
  } catch {
    // Details that do not decode are as good as none: the code alone still says enough.
    return undefined;
  }
}

function isReason(text: string): text is Reason {
  return Object.hasOwn(REASONS, text);
}

function factsOf(metadata: Readonly<Record<string, string>>): FailureFacts {
  const { server_time_ms: time, current_epoch: epoch, lowest_free: free, peer } = metadata;
  return {
    ...(time === undefined ? {} : { serverTimeMs: BigInt(time) }),
    ...(epoch === undefined ? {} : { currentEpoch: BigInt(epoch) }),
    ...(free === undefined ? {} : { lowestFree: Number(free) }),
    ...(peer === undefined ? {} : { peer }),
  };
}

function retryOf(encoded: Uint8Array | undefined): FailureFacts {
  const delay = encoded === undefined ? undefined : RetryInfo.decode(encoded).retryDelay;
  if (delay === undefined) return {};
  return { retryAfterMs: Number(delay.seconds) * 1_000 + Math.ceil(delay.nanos / 1_000_000) };
}

function fieldOf(encoded: Uint8Array | undefined): FailureFacts {
  const [first] = encoded === undefined ? [] : BadRequest.decode(encoded).fieldViolations;
  return first === undefined ? {} : { field: first.field };
}
