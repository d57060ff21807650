import { createServer as createHttp1, type Server as Http1Server } from 'node:http';
import {
  constants,
  createServer as createHttp2,
  type Http2Session,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Server as NetServer, Socket } from 'node:net';

import { assert } from '@roost/core/assert';
import { sleep } from '@roost/core/time';

import type { Bucket, Limiter } from './address-limit.ts';
import {
  callerOf,
  contextOf,
  type DoorOptions,
  FIRST_BYTES_MS,
  openDoor,
  PING_EVERY_MS,
} from './door.ts';
import { type Exchange, exchangeOfRequest, exchangeOfStream } from './exchange.ts';
import type { Health } from './health.ts';
import { type Pages, tellPage, tellPageTo } from './pages.ts';
import type { MutualTls } from './peer.ts';
import { reflectionOf } from './reflection.ts';
import { type Log, Router, type TokenGate } from './router.ts';
import type { ServiceBinding } from './service.ts';

export type { Bucket, Limiter } from './address-limit.ts';
export type { Log, TokenGate } from './router.ts';

export interface ServeOptions extends DoorOptions {
  /** A TCP address (port 0: any free one) or the path of a Unix socket. */
  readonly listen: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly bindings: readonly ServiceBinding[];
  readonly gate?: TokenGate | undefined;
  readonly limiter?: Limiter | undefined;
  readonly exemptBucket?: Bucket | undefined;
  /** How long a unary call may take; 30 s. */
  readonly unaryMs?: number | undefined;
  /** Calls that one connection may have open; 256. */
  readonly callsPerConnectionMax?: number | undefined;
  readonly health?: Health | undefined;
  /** A FileDescriptorSet (proto/gen/descriptors.binpb): turns server reflection on. */
  readonly descriptors?: Uint8Array | undefined;
  /** What anybody may read by a GET. */
  readonly pages?: Pages | undefined;
  readonly log: Log;
}

export interface RunningServer extends AsyncDisposable {
  /** `host:port`, or `unix:path`: what a client connects to. */
  readonly address: string;
  /** 0 on a Unix socket. */
  readonly port: number;
  /**
   * Takes no more connections and calls; open calls go on. A call that comes all the same is refused; over
   * mutual TLS in a way that tells a proxy that it may send it elsewhere.
   */
  drain(): void;
  /** Certificates of connections to come. */
  renew(tls: { readonly cert: string; readonly key: string } | MutualTls): void;
  /** Drains, gives open calls so long to end, then ends them. */
  close(graceMs?: number): Promise<void>;
}

/** For the whole of a request over HTTP/1.1; over HTTP/2 the router watches each call. */
const BODY_MS = 60_000;
const PING_ANSWER_MS = 20_000;
const STREAM_WINDOW_BYTES = 256 << 10;
const CONNECTION_WINDOW_BYTES = 4 << 20;
/** What one session may hold, in MB: more than its calls' windows, less than harm. */
const SESSION_MEGABYTES_MAX = 96;
const HEADER_BYTES_MAX = 16 << 10;
const CALLS_PER_CONNECTION_MAX = 256;
const GRACE_MS = 5_000;
/** A first flight that is not answered by more than this many calls at once is not slowed down. */
const BACKLOG = 1_024;

/**
 * Serves gRPC and gRPC-web on one port, with TLS or without. Anything else that comes in is closed
 * without an answer and without harm.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { health = () => true, bindings, descriptors } = options;
  const names = bindings.map(({ definition }) => definition.fullName);
  const reflection = descriptors === undefined ? undefined : reflectionOf(descriptors, names);
  const router = new Router({ ...options, health, reflection });
  const take = (exchange: Exchange | undefined): void => {
    if (exchange !== undefined) void router.take(exchange);
  };
  const http2 = http2Server(options, take, () => router.isDraining);
  const http1 = http1Server(take, options.pages ?? NO_PAGES);
  const sockets = new Set<Socket>();
  const door = openDoor(options, sockets, {
    http2: (socket) => void http2.server.emit('connection', socket),
    http1: (socket) => void http1.emit('connection', socket),
  });
  await listening(door, options.listen);

  const drain = (): void => {
    router.drain();
    door.close();
    http1.closeIdleConnections();
    for (const session of http2.sessions) session.close();
  };
  const close = async (graceMs = GRACE_MS): Promise<void> => {
    drain();
    const until = performance.now() + graceMs;
    while (router.openCalls > 0 && performance.now() < until) await sleep(10);
    router.abort();
    // One turn of the loop lets the last statuses leave before their sockets are closed.
    await sleep(router.openCalls > 0 ? 50 : 1);
    for (const session of http2.sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
    http1.closeAllConnections();
    // Ends the watch over timeouts.
    http1.close();
  };
  return {
    ...addressOf(door, options.listen),
    drain,
    renew(tls) {
      assert('setSecureContext' in door, 'a listener without TLS has no certificate');
      door.setSecureContext(contextOf(tls, options.callers));
    },
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}

const NO_PAGES: Pages = new Map();

function http1Server(take: (exchange: Exchange | undefined) => void, pages: Pages): Http1Server {
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: FIRST_BYTES_MS,
    requestTimeout: BODY_MS,
    connectionsCheckingInterval: FIRST_BYTES_MS,
  };
  const server = createHttp1(limits, (request, response) => {
    if (!tellPageTo(pages, request, response)) take(exchangeOfRequest(request, response));
  });
  server.on('clientError', (_, socket) => socket.destroy());
  // It never listens by itself, but Node begins to watch over timeouts when it hears that it does.
  server.emit('listening');
  return server;
}

function http2Server(
  options: ServeOptions,
  take: (exchange: Exchange | undefined) => void,
  isDraining: () => boolean,
) {
  const { callers, pages = NO_PAGES } = options;
  const sessions = new Set<ServerHttp2Session>();
  /** Who is at the other end, where certificates say it. */
  const peers = new WeakMap<Http2Session, string>();
  const server: Http2Server = createHttp2({
    maxSessionMemory: SESSION_MEGABYTES_MAX,
    settings: {
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxConcurrentStreams: options.callsPerConnectionMax ?? CALLS_PER_CONNECTION_MAX,
      maxHeaderListSize: HEADER_BYTES_MAX,
      enablePush: false,
    },
  });
  server.on('session', (session) => {
    sessions.add(session);
    if (typeof callers !== 'string') {
      const peer = callerOf(session.socket, callers.certifiedBy);
      if (peer !== undefined) peers.set(session, peer);
    }
    session.once('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    keepAlive(session);
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    // A reset by the other side is news for `onGone`, not an error of ours.
    stream.on('error', () => {});
    const { session } = stream;
    if (typeof callers === 'string') {
      if (tellPage(pages, stream, headers)) return;
      return take(exchangeOfStream(stream, headers));
    }
    const caller = session === undefined ? undefined : peers.get(session);
    // Nothing of it was looked at: whoever sent it may send it to another replica.
    if (caller === undefined || isDraining()) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else take(exchangeOfStream(stream, headers, caller));
  });
  return { server, sessions };
}

/** Finds connections whose other side has vanished without a word. */
function keepAlive(session: ServerHttp2Session): void {
  let answered = true;
  const timer = setInterval(() => {
    if (session.destroyed || session.closed) return;
    answered = false;
    const late = setTimeout(() => {
      if (!answered) session.destroy();
    }, PING_ANSWER_MS);
    late.unref();
    const isSent = session.ping(() => {
      answered = true;
      clearTimeout(late);
    });
    if (!isSent) clearTimeout(late);
  }, PING_EVERY_MS);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}

async function listening(server: NetServer, listen: ServeOptions['listen']): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...listen, backlog: BACKLOG }, () => {
      server.off('error', reject);
      // An error of a listening socket (no more file descriptors) passes; the process goes on.
      server.on('error', () => {});
      resolve();
    });
  });
}

function addressOf(server: NetServer, listen: ServeOptions['listen']) {
  if ('path' in listen) return { address: `unix:${listen.path}`, port: 0 };
  const bound = server.address();
  assert(bound !== null && typeof bound === 'object', 'a TCP server that listens has a port');
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return { address: `${host}:${bound.port}`, port: bound.port };
}
