import { createServer as createNet, type Server as NetServer, type Socket } from 'node:net';
import {
  createServer as createTls,
  type SecureContextOptions,
  type Server as TlsServer,
  type TlsOptions,
  TLSSocket,
} from 'node:tls';

import { assert } from '@roost/core/assert';
import type { Domain } from '@roost/core/ids';

import type { CallerName } from './access.ts';
import { type MutualTls, peerOf } from './peer.ts';

/** How long a connection may take to say what it is. */
export const FIRST_BYTES_MS = 10_000;
export const PING_EVERY_MS = 60_000;

export interface DoorOptions {
  /** PEM. HTTP/2 and HTTP/1.1 are chosen between by ALPN. */
  readonly tls?: { readonly cert: string; readonly key: string } | MutualTls | undefined;
  /**
   * Who calls over this listener: clients, or the operator; or whoever of this homeserver its certificate
   * says (mutual TLS, HTTP/2 alone: nobody else gets through the handshake).
   */
  readonly callers: CallerName | { readonly certifiedBy: Domain };
  /** Asks whoever connects for a certificate, and leaves it to others to judge it. */
  readonly asksForCertificate?: boolean | undefined;
}

export interface Ways {
  http2(socket: Socket): void;
  http1(socket: Socket): void;
}

/** A listening socket that tells HTTP/2 from HTTP/1.1, with TLS or without. */
export function openDoor(
  { tls, callers, asksForCertificate = false }: DoorOptions,
  sockets: Set<Socket>,
  ways: Ways,
): NetServer | TlsServer {
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Whatever goes wrong on a socket ends that socket; without a listener it would end the process.
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true).setKeepAlive(true, PING_EVERY_MS);
  };
  if (tls === undefined) {
    assert(typeof callers === 'string', 'certificates need TLS');
    return createNet({ noDelay: true }, (socket) => {
      accept(socket);
      sniff(socket, ways);
    });
  }
  const asked = asksForCertificate ? { requestCert: true, rejectUnauthorized: false } : {};
  const server = createTls(
    {
      ...{ ...contextOf(tls, callers), ...asked, ...doorOf(tls, callers) },
      handshakeTimeout: FIRST_BYTES_MS,
    },
    (socket) => {
      accept(socket);
      if (typeof callers !== 'string' && callerOf(socket, callers.certifiedBy) === undefined) {
        socket.destroy();
      } else if (socket.alpnProtocol === 'h2') ways.http2(socket);
      else if (typeof callers === 'string') ways.http1(socket);
      else socket.destroy();
    },
  );
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return server;
}

/** Between our own processes there is one protocol, and nobody else. */
function doorOf(tls: SecureContextOptions, callers: DoorOptions['callers']): TlsOptions {
  if (typeof callers === 'string') return { ALPNProtocols: ['h2', 'http/1.1'] };
  assert(tls.ca !== undefined, 'who lets in by certificate names the authority');
  return { ALPNProtocols: ['h2'], requestCert: true, rejectUnauthorized: true };
}

/** What is shown to whoever connects from now on. */
export function contextOf(
  tls: NonNullable<DoorOptions['tls']>,
  callers: DoorOptions['callers'],
): SecureContextOptions {
  const isForClients = typeof callers === 'string' && callers !== 'peer';
  return isForClients ? tls : { ...tls, minVersion: 'TLSv1.3' };
}

/** The peer that the other side of a connection has proved to be. */
export function callerOf(socket: Socket, domain: Domain): string | undefined {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate && peerOf(certificate, domain)?.name;
}

const PREFACE = Buffer.from('PRI');

/** Tells HTTP/2 from HTTP/1.1 by the first three bytes, which are then given back. */
function sniff(socket: Socket, ways: Ways): void {
  let head = Buffer.alloc(0);
  const first = (): void => {
    const more: unknown = socket.read();
    if (!Buffer.isBuffer(more)) return;
    head = Buffer.concat([head, more]);
    // Undecided bytes are kept here: giving them back at once would wake us again, for ever.
    if (head.length < PREFACE.length && PREFACE.subarray(0, head.length).equals(head)) return;
    socket.off('readable', first);
    socket.off('timeout', tooSlow);
    socket.setTimeout(0);
    socket.unshift(head);
    if (head.subarray(0, PREFACE.length).equals(PREFACE)) ways.http2(socket);
    else ways.http1(socket);
  };
  const tooSlow = (): void => void socket.destroy();
  socket.setTimeout(FIRST_BYTES_MS);
  socket.on('timeout', tooSlow);
  socket.on('readable', first);
}
