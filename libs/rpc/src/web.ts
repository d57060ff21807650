import { Failure } from '@roost/core/failure';

import { type Outgoing, PROOF_METADATA, RESPONSE_BYTES_MAX, type Transport } from './call.ts';
import { Deframer, frame, statusIn, toBase64 } from './frames.ts';
import { type CallStatus, CODES, errorOf, ServerError } from './status.ts';

/** gRPC-web over `fetch`, for browsers; the same shape as `connect` of `client.ts`. */
export function connectWeb(baseUrl: string, fetchWith: typeof fetch = fetch): Transport {
  const open = (call: Outgoing) => messages(baseUrl, fetchWith, call);
  return {
    async unary(call) {
      let answer: Uint8Array | undefined;
      for await (const message of open(call)) {
        if (answer !== undefined) throw new ServerError(CODES.INTERNAL, 'more than one answer');
        answer = message;
      }
      if (answer === undefined) throw new ServerError(CODES.INTERNAL, 'an answer is missing');
      return answer;
    },
    stream: open,
  };
}

/** The messages of one call; ends when its status is OK, and throws any other. */
async function* messages(
  baseUrl: string,
  fetchWith: typeof fetch,
  call: Outgoing,
): AsyncGenerator<Uint8Array> {
  call.signal?.throwIfAborted();
  const gone = new AbortController();
  const signal = signalOf(call, gone);
  try {
    const response = await fetchWith(new URL(call.path, baseUrl), {
      method: 'POST',
      headers: headersOf(call),
      body: frame(call.request),
      signal,
    });
    const early = statusIn((name) => response.headers.get(name));
    if (early !== undefined) return settle(early);
    if (!response.ok || response.body === null) throw errorOf(statusOfHttp(response.status));
    return settle(yield* framesOf(response.body));
  } catch (error) {
    throw asHeard(error, call, signal);
  } finally {
    // Also when the caller stops iterating: the server hears it by the end of the connection.
    gone.abort();
  }
}

async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, CallStatus> {
  const deframer = new Deframer(RESPONSE_BYTES_MAX);
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return LOST;
    for (const each of deframer.push(value)) {
      if (each.kind === 'message') yield each.bytes;
      else return statusIn((name) => each.trailers.get(name)) ?? LOST;
    }
  }
}

const LOST: CallStatus = { code: CODES.UNAVAILABLE, message: 'the connection was lost' };

function settle(status: CallStatus): void {
  if (status.code !== CODES.OK) throw errorOf(status);
}

function headersOf({ proof, authorization, deadlineMs }: Outgoing): Record<string, string> {
  return {
    'content-type': 'application/grpc-web+proto',
    'x-grpc-web': '1',
    ...(proof === undefined ? {} : { [PROOF_METADATA]: toBase64(proof) }),
    ...(authorization === undefined ? {} : { authorization }),
    // Eight digits at most, as the protocol has it.
    ...(deadlineMs === undefined
      ? {}
      : { 'grpc-timeout': `${Math.min(Math.ceil(deadlineMs), 99_999_999)}m` }),
  };
}

function signalOf({ deadlineMs, signal }: Outgoing, gone: AbortController): AbortSignal {
  return AbortSignal.any([
    gone.signal,
    ...(deadlineMs === undefined ? [] : [AbortSignal.timeout(deadlineMs)]),
    ...(signal === undefined ? [] : [signal]),
  ]);
}

function asHeard(error: unknown, call: Outgoing, signal: AbortSignal): unknown {
  if (call.signal?.aborted === true) return call.signal.reason;
  if (error instanceof Failure || error instanceof ServerError) return error;
  if (signal.aborted) return new Failure('UNAVAILABLE', 'the call took too long');
  // What `fetch` throws by itself: no connection, or one that was lost.
  return new Failure('UNAVAILABLE', 'the server cannot be reached', {}, error);
}

/** The status for an HTTP answer that is not gRPC's, as the gRPC protocol maps them. */
function statusOfHttp(http: number): CallStatus {
  const message = `HTTP status ${http}`;
  if (http === 401) return { code: CODES.UNAUTHENTICATED, message };
  if (http === 403) return { code: CODES.PERMISSION_DENIED, message };
  if (http === 404) return { code: CODES.UNIMPLEMENTED, message };
  if ([429, 502, 503, 504].includes(http)) return { code: CODES.UNAVAILABLE, message };
  return { code: CODES.UNKNOWN, message };
}
