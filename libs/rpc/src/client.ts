import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  checkServerIdentity as checkIdentity,
  createSecureContext,
  type PeerCertificate,
} from 'node:tls';

import { assert } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import type { Domain } from '@roost/core/ids';
import {
  type CallOptions as GrpcOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  status as grpcStatus,
} from '@grpc/grpc-js';

import { type Outgoing, PROOF_METADATA, RESPONSE_BYTES_MAX, type Transport } from './call.ts';
import { SOURCE_HEADER } from './destination.ts';
import { observeCalling } from './observe.ts';
import { type MutualTls, type Peer, refuseOther } from './peer.ts';
import { CODES, errorOf } from './status.ts';

export { clientOf } from './call.ts';
export type { Client, Transport } from './call.ts';

/** A connection to a server from Node. It connects when needed and again when lost. */
export interface Channel extends Transport, Disposable {
  close(): void;
}

export interface ConnectOptions {
  /**
   * Absent: without TLS. `ca` (PEM) where the certificate is not signed by a public authority, `name` where it is for
   * another name than that of the address.
   */
  readonly tls?: { readonly ca?: string; readonly name?: string } | undefined;
}

/** To `host:port` or `unix:path`, by gRPC over HTTP/2. */
export function connect(address: string, { tls }: ConnectOptions = {}): Channel {
  const { security, options } = securityOf(address, tls);
  return channelOver(
    new Client(address, security, {
      ...{ ...OPTIONS, ...options },
      // A retry down here would send the same nonce and token twice.
      'grpc.enable_retries': 0,
    }),
  );
}

function securityOf(address: string, tls: ConnectOptions['tls']) {
  if (tls === undefined) return { security: credentials.createInsecure(), options: {} };
  const ca = tls.ca === undefined ? null : Buffer.from(tls.ca);
  if (tls.name !== undefined) {
    const options = { 'grpc.ssl_target_name_override': tls.name };
    return { security: credentials.createSsl(ca), options };
  }
  const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  if (isIP(host) === 0) return { security: credentials.createSsl(ca), options: {} };
  // TLS has no name for an address (RFC 6066 §3): another is sent, and the certificate is held against the address.
  const checkServerIdentity = (_: string, certificate: PeerCertificate): Error | undefined =>
    checkIdentity(host, certificate);
  return {
    security: credentials.createSsl(ca, null, null, { checkServerIdentity }),
    options: { 'grpc.ssl_target_name_override': 'address.invalid' },
  };
}

/** A connection to another process of this homeserver. */
export interface PeerChannel extends Channel {
  /** Shows another certificate from now on; calls under way end as they began. */
  renew(tls: MutualTls): void;
}

/**
 * To a service of this homeserver: whoever is there has to prove that it is, whatever the address is called.
 * `addresses` are `host:port`: several, or one name with several addresses, take turns, and one that is
 * away is left out.
 */
export function connectPeer(
  addresses: readonly string[],
  server: Peer,
  tls: MutualTls,
): PeerChannel {
  const open = ({ ca, cert, key }: MutualTls): Client => {
    const [caBytes, keyBytes, certBytes] = [ca, key, cert].map((pem) => Buffer.from(pem));
    assert(caBytes !== undefined && keyBytes !== undefined && certBytes !== undefined, 'three');
    const security = credentials.createSsl(caBytes, keyBytes, certBytes, {
      checkServerIdentity: (_, { raw }) => refuseOther(raw, server),
    });
    return new Client(targetOf(addresses), security, {
      ...OPTIONS,
      // Who is asked for stands in the certificate; an address is no name for TLS.
      'grpc.ssl_target_name_override': server.name,
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
      // A replica that is frozen is found out soon, and its calls go to the others.
      'grpc.keepalive_time_ms': 5_000,
      'grpc.keepalive_timeout_ms': 3_000,
      // A name may come to stand for other addresses.
      'grpc.dns_min_time_between_resolutions_ms': 5_000,
    });
  };
  let client = open(tls);
  const ofNow = (): Client => client;
  return {
    ...channelOver(client, ofNow),
    // Other than a client's, a service's call says which trace it is part of.
    unary: async (call) =>
      observeCalling(call.path, (traceparent) => unary(ofNow(), call, traceparent)),
    close: () => client.close(),
    [Symbol.dispose]: () => client.close(),
    renew(renewed) {
      const earlier = client;
      client = open(renewed);
      setTimeout(() => earlier.close(), LINGER_MS).unref();
    },
  };
}

/** To whom of other homeservers, and how it is known. */
export interface HomeserverOptions {
  /** `ip:port`, IPv6 in brackets: looked up and judged by the caller. Nothing is looked up here. */
  readonly addresses: readonly string[];
  /** Asked for by TLS, wherever the addresses lead. */
  readonly domain: Domain;
  /** PEM; absent for the authorities that this machine trusts. */
  readonly ca?: string | undefined;
  /** What we show, PEM, where client certificates are used. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
}

/** To another homeserver's gateway: TLS 1.3, by a certificate for its domain and no other name. */
export function connectHomeserver(options: HomeserverOptions): Channel {
  const { addresses, domain, ca, certificate } = options;
  const context = createSecureContext({
    minVersion: 'TLSv1.3',
    ...(ca === undefined ? {} : { ca }),
    ...certificate,
  });
  const security = credentials.createFromSecureContext(context, {
    checkServerIdentity: (_, { raw }) => {
      if (isCertificateOf(new X509Certificate(raw), domain)) return undefined;
      return new Error('the certificate is of another domain');
    },
  });
  return channelOver(
    new Client(targetOf(addresses), security, {
      ...OPTIONS,
      'grpc.ssl_target_name_override': domain,
      'grpc.enable_retries': 0,
      'grpc.keepalive_time_ms': 20_000,
      'grpc.keepalive_timeout_ms': 10_000,
    }),
  );
}

/**
 * Whether a certificate is for a domain by its subject alternative names: neither its common name nor a
 * wildcard, which other hosts of the domain hold too, speak for it.
 */
export function isCertificateOf(certificate: X509Certificate, domain: Domain): boolean {
  return certificate.checkHost(domain, { subject: 'never', wildcards: false }) !== undefined;
}

/** In the notation of gRPC's names: addresses in one list, or one name to look up. */
function targetOf(addresses: readonly string[]): string {
  const [first] = addresses;
  assert(first !== undefined, 'there is an address to connect to');
  if (addresses.length === 1 && !/^[\d.]+:\d+$|^\[/.test(first)) return `dns:///${first}`;
  return `${first.startsWith('[') ? 'ipv6' : 'ipv4'}:${addresses.join(',')}`;
}

const LINGER_MS = 60_000;

const OPTIONS = {
  'grpc.max_receive_message_length': RESPONSE_BYTES_MAX,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 10_000,
  // Two channels to one address are two connections, as their owners expect.
  'grpc.use_local_subchannel_pool': 1,
};

function channelOver(first: Client, ofNow = (): Client => first): Channel {
  const close = (): void => first.close();
  return {
    unary: async (call) => unary(ofNow(), call),
    stream: (call) => stream(ofNow(), call),
    close,
    [Symbol.dispose]: close,
  };
}

async function unary(client: Client, call: Outgoing, traceparent?: string): Promise<Uint8Array> {
  call.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response?: Uint8Array): void => {
      call.signal?.removeEventListener('abort', cancel);
      if (error !== null) reject(call.signal?.aborted === true ? call.signal.reason : heard(error));
      else if (response === undefined) reject(new Failure('UNAVAILABLE', 'there was no answer'));
      else resolve(response);
    };
    const [metadata, options] = [metadataOf(call), optionsOf(call)];
    if (traceparent !== undefined) metadata.set('traceparent', traceparent);
    const running = client.makeUnaryRequest(
      call.path,
      toBuffer,
      toBytes,
      call.request,
      metadata,
      options,
      done,
    );
    const cancel = (): void => running.cancel();
    call.signal?.addEventListener('abort', cancel, { once: true });
  });
}

async function* stream(client: Client, call: Outgoing): AsyncGenerator<Uint8Array> {
  call.signal?.throwIfAborted();
  const [metadata, options] = [metadataOf(call), optionsOf(call)];
  const running = client.makeServerStreamRequest(
    call.path,
    toBuffer,
    toBytes,
    call.request,
    metadata,
    options,
  );
  // Once cancelled, it says so as an error even when nobody iterates any more.
  running.on('error', () => {});
  const cancel = (): void => running.cancel();
  call.signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of running) yield message as Uint8Array;
    call.signal?.throwIfAborted();
  } catch (error) {
    if (call.signal?.aborted === true) throw call.signal.reason;
    throw isServiceError(error) ? heard(error) : error;
  } finally {
    call.signal?.removeEventListener('abort', cancel);
    running.cancel();
  }
}

function metadataOf({ proof, authorization, source }: Outgoing): Metadata {
  const metadata = new Metadata();
  if (proof !== undefined) metadata.set(PROOF_METADATA, toBuffer(proof));
  if (authorization !== undefined) metadata.set('authorization', authorization);
  if (source !== undefined) metadata.set(SOURCE_HEADER, source);
  return metadata;
}

function optionsOf({ deadlineMs }: Outgoing): GrpcOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error;
}

function heard(error: ServiceError): Error {
  const [details] = error.metadata.get('grpc-status-details-bin');
  // A call that never left fails in ways of its own; for the caller the server is away. It is, too, where a
  // stream was reset by what stands between, whose server has died: grpc-js calls that our error.
  const isReset = error.code === grpcStatus.INTERNAL && RESET.test(error.details);
  const code = isReset ? CODES.UNAVAILABLE : (error.code ?? CODES.UNAVAILABLE);
  return errorOf({
    code,
    message: error.details,
    ...(Buffer.isBuffer(details) ? { details: toBytes(details) } : {}),
  });
}

const RESET = /^Received RST_STREAM with code \d+/;

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
