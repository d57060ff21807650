import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Readable } from 'node:stream';

import { concat } from '@roost/core/bytes';

import { shownOn } from './certificate.ts';
import { CORS_ALLOWED_HEADERS, CORS_EXPOSED_HEADERS, CORS_MAX_AGE_SECONDS } from './cors.ts';
import { frame, trailerFrame, trailersOf } from './frames.ts';
import type { CallStatus } from './status.ts';

/**
 * One call on the wire, whichever of the three ways it came: gRPC over HTTP/2, gRPC-web over HTTP/2,
 * gRPC-web over HTTP/1.1.
 */
export interface Exchange {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The address that it came from, without the port; empty on a Unix socket. */
  readonly address: string;
  /** Who calls, where a certificate said it. */
  readonly caller?: string | undefined;
  /** The certificate that was shown on this connection, whoever signed it. */
  readonly shown?: () => X509Certificate | undefined;
  readonly body: Readable;
  /** Sends one message; waits where the receiver is slower than we are. */
  send(message: Uint8Array): Promise<void>;
  /** Ends the call, with a last message or without. Does nothing when the caller has gone. */
  finish(status: CallStatus, last?: Uint8Array): void;
  /** Runs when the caller has gone before the end. */
  onGone(run: () => void): void;
}

const GRPC = 'application/grpc';
const GRPC_WEB = 'application/grpc-web';

const CORS = { 'access-control-allow-origin': '*' };
const CORS_CALL = {
  ...CORS,
  'access-control-expose-headers': CORS_EXPOSED_HEADERS,
};
/** No cookies are used, so any origin may call: what protects a call travels in its headers. */
const CORS_PREFLIGHT = {
  ...CORS,
  'access-control-allow-methods': 'POST',
  'access-control-allow-headers': CORS_ALLOWED_HEADERS,
  'access-control-max-age': String(CORS_MAX_AGE_SECONDS),
};

/** Answers what is no call by itself (CORS, wrong types) and returns the call otherwise. */
export function exchangeOfStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  caller?: string,
): Exchange | undefined {
  const type = contentType(headers);
  const early = earlyAnswer(headers[':method'], type);
  if (early !== undefined || type === undefined) {
    stream.respond({ ':status': early?.status ?? 415, ...early?.headers }, { endStream: true });
    stream.close(constants.NGHTTP2_NO_ERROR);
    return undefined;
  }
  const common = {
    path: headers[':path'] ?? '',
    headers,
    address: stream.session?.socket.remoteAddress ?? '',
    caller,
    shown: () => shownOn(stream.session?.socket),
    body: stream,
    onGone: (run: () => void) => {
      stream.once('close', () => {
        if (!stream.writableFinished || stream.rstCode !== constants.NGHTTP2_NO_ERROR) run();
      });
    },
  };
  return { ...common, ...(type === GRPC ? overTrailers(stream) : overStreamBody(stream)) };
}

/** As `exchangeOfStream`, for HTTP/1.1, which carries gRPC-web only. */
export function exchangeOfRequest(
  request: IncomingMessage,
  response: ServerResponse,
): Exchange | undefined {
  const type = contentType(request.headers);
  const early = earlyAnswer(request.method, type);
  if (early !== undefined || type !== GRPC_WEB) {
    response.writeHead(early?.status ?? 415, early?.headers).end();
    return undefined;
  }
  return {
    path: request.url ?? '',
    headers: request.headers,
    address: request.socket.remoteAddress ?? '',
    body: request,
    onGone: (run) => {
      response.once('close', () => {
        if (!response.writableFinished) run();
      });
    },
    ...inBody(response, (headers) => {
      // What is left of a refused upload is read away by Node, so that the answer arrives; where that
      // would be much, the connection ends instead.
      if (!request.complete && isLong(request)) response.setHeader('connection', 'close');
      response.writeHead(200, headers);
    }),
  };
}

type Answering = Pick<Exchange, 'send' | 'finish'>;

/** gRPC: the status stands in the trailers, or in the headers where nothing was sent. */
function overTrailers(stream: ServerHttp2Stream): Answering {
  let status: CallStatus | undefined;
  const begin = (): void => {
    stream.respond({ ':status': 200, 'content-type': GRPC }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers(trailersOf(status ?? GONE)));
  };
  return {
    async send(message) {
      if (isOver(stream)) return;
      if (!stream.headersSent) begin();
      await write(stream, frame(message));
    },
    finish(ended, last) {
      status = ended;
      if (isOver(stream)) return;
      if (!stream.headersSent && last === undefined) {
        const headers = { ':status': 200, 'content-type': GRPC, ...trailersOf(ended) };
        stream.respond(headers, { endStream: true });
        // What the caller still sends is not read.
        if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
        return;
      }
      if (!stream.headersSent) begin();
      if (last === undefined) stream.end();
      else stream.end(frame(last));
    },
  };
}

function overStreamBody(stream: ServerHttp2Stream): Answering {
  const answering = inBody(stream, (headers) => stream.respond({ ':status': 200, ...headers }));
  return {
    ...answering,
    finish(status, last) {
      answering.finish(status, last);
      if (!stream.readableEnded) stream.once('finish', () => stream.close());
    },
  };
}

interface Body {
  readonly closed: boolean;
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  readonly headersSent: boolean;
  write(chunk: Uint8Array): boolean;
  end(chunk: Uint8Array): unknown;
  once(event: 'drain' | 'close', run: () => void): unknown;
  off(event: 'drain' | 'close', run: () => void): unknown;
}

/** gRPC-web: the status is the last frame of the body. */
function inBody(body: Body, begin: (headers: Record<string, string>) => void): Answering {
  const start = (): void => {
    if (!body.headersSent) begin({ 'content-type': `${GRPC_WEB}+proto`, ...CORS_CALL });
  };
  return {
    async send(message) {
      if (isOver(body)) return;
      start();
      await write(body, frame(message));
    },
    finish(status, last) {
      if (isOver(body)) return;
      start();
      const trailers = trailerFrame(trailersOf(status));
      body.end(last === undefined ? trailers : concat(frame(last), trailers));
    },
  };
}

const LEFT_BYTES_MAX = 8 << 20;

function isLong({ headers }: IncomingMessage): boolean {
  const length = Number(headers['content-length'] ?? Infinity);
  return !(length <= LEFT_BYTES_MAX);
}

const GONE: CallStatus = { code: 1, message: 'cancelled' };

/** After a reset a stream is closed before it is destroyed; answering it then would throw. */
function isOver(body: Pick<Body, 'closed' | 'destroyed' | 'writableEnded'>): boolean {
  return body.closed || body.destroyed || body.writableEnded;
}

/** Writes, and waits until there is room for more or nobody to write to. */
async function write(body: Body, bytes: Uint8Array): Promise<void> {
  if (body.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      body.off('drain', done);
      body.off('close', done);
      resolve();
    };
    body.once('drain', done);
    body.once('close', done);
  });
}

function contentType(headers: IncomingHttpHeaders): typeof GRPC | typeof GRPC_WEB | undefined {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type === GRPC || type === `${GRPC}+proto`) return GRPC;
  if (type === GRPC_WEB || type === `${GRPC_WEB}+proto`) return GRPC_WEB;
  return undefined;
}

function earlyAnswer(method: string | undefined, type: string | undefined) {
  if (method === 'OPTIONS') return { status: 204, headers: CORS_PREFLIGHT };
  if (method !== 'POST') return { status: 405, headers: { ...CORS, allow: 'POST, OPTIONS' } };
  return type === undefined ? { status: 415, headers: CORS } : undefined;
}
