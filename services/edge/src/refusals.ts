import { Failure } from '@roost/core/failure';
import { trailersOf } from '@roost/rpc/frames';
import { unknownMethod } from '@roost/rpc/service';
import { type CallStatus, statusOf, TOO_LATE } from '@roost/rpc/status';

import type { Json } from './typed.ts';

/**
 * What Envoy says by itself is put into the words of a service, so that all clients read it alike: HTTP 200, the
 * status in the headers, no body. (With another status of HTTP a gRPC-web client reads that one and nothing else;
 * with a body the filter for gRPC-web replaces the status.)
 */
export function localReplies(): Json {
  const mappers = [
    // The limits by address write their own headers; what is left to do is to take away the status and the body.
    mapper(status(429), undefined),
    mapper(status(404), statusOf(unknownMethod())),
    mapper(or(status(408), status(504)), TOO_LATE),
    mapper(or(status(400), status(431)), statusOf(new Failure('MALFORMED', 'not a call of HTTP'))),
    mapper(atLeast(500), statusOf(new Failure('UNAVAILABLE', 'the server is not able to answer'))),
  ];
  return { mappers };
}

/** The headers that say a status. */
export function headersOf(called: CallStatus): Json[] {
  return Object.entries(trailersOf(called)).map(([key, value]) => ({
    header: { key, value },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  }));
}

function mapper(filter: Json, called: CallStatus | undefined) {
  // A refusal that comes before the filter for gRPC-web is written as what it was asked by: the type of a gRPC call
  // is put right by Envoy itself.
  const type = { key: 'content-type', value: 'application/grpc-web+proto' };
  return {
    filter: and(IS_CALL, filter),
    status_code: 200,
    headers_to_add: [
      { header: type, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
      ...(called === undefined ? [] : headersOf(called)),
    ],
    body: { inline_string: '' },
  };
}

/** gRPC or gRPC-web; pages and crawlers keep the status of HTTP. */
const IS_CALL = header('content-type', { prefix: 'application/grpc' });

function header(name: string, match: Json): Json {
  return { header_filter: { header: { name, string_match: match } } };
}

function status(code: number): Json {
  return compared('EQ', code);
}

function atLeast(code: number): Json {
  return compared('GE', code);
}

function compared(op: string, code: number): Json {
  // The runtime key is Envoy's way to change a number later; nobody sets it.
  const value = { default_value: code, runtime_key: 'roost.unset' };
  return { status_code_filter: { comparison: { op, value } } };
}

function and(...filters: Json[]): Json {
  return { and_filter: { filters } };
}

function or(...filters: Json[]): Json {
  return { or_filter: { filters } };
}
