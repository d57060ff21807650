import { Failure } from '@roost/core/failure';
import {
  type CallOptions as GrpcOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';

import { type Outgoing, PROOF_METADATA, RESPONSE_BYTES_MAX, type Transport } from './call.ts';
import { CODES, errorOf } from './status.ts';

export { clientOf } from './call.ts';
export type { Client, Transport } from './call.ts';

/** A connection to a server from Node. It connects when needed and again when lost. */
export interface Channel extends Transport, Disposable {
  close(): void;
}

export interface ConnectOptions {
  /** Absent: without TLS. `ca` (PEM) where the certificate is not signed by a public authority. */
  readonly tls?: { readonly ca?: string } | undefined;
}

/** To `host:port` or `unix:path`, by gRPC over HTTP/2. */
export function connect(address: string, { tls }: ConnectOptions = {}): Channel {
  const security =
    tls === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(tls.ca === undefined ? null : Buffer.from(tls.ca));
  const client = new Client(address, security, {
    'grpc.max_receive_message_length': RESPONSE_BYTES_MAX,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.initial_reconnect_backoff_ms': 250,
    'grpc.max_reconnect_backoff_ms': 10_000,
    // A retry down here would send the same nonce and token twice.
    'grpc.enable_retries': 0,
    // Two channels to one address are two connections, as their owners expect.
    'grpc.use_local_subchannel_pool': 1,
  });
  const close = (): void => client.close();
  return {
    unary: async (call) => unary(client, call),
    stream: (call) => stream(client, call),
    close,
    [Symbol.dispose]: close,
  };
}

async function unary(client: Client, call: Outgoing): Promise<Uint8Array> {
  call.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response?: Uint8Array): void => {
      call.signal?.removeEventListener('abort', cancel);
      if (error !== null) reject(call.signal?.aborted === true ? call.signal.reason : heard(error));
      else if (response === undefined) reject(new Failure('UNAVAILABLE', 'there was no answer'));
      else resolve(response);
    };
    const [metadata, options] = [metadataOf(call), optionsOf(call)];
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

function metadataOf({ proof, authorization }: Outgoing): Metadata {
  const metadata = new Metadata();
  if (proof !== undefined) metadata.set(PROOF_METADATA, toBuffer(proof));
  if (authorization !== undefined) metadata.set('authorization', authorization);
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
  // A call that never left fails in ways of its own; for the caller the server is away.
  const code = error.code ?? CODES.UNAVAILABLE;
  return errorOf({
    code,
    message: error.details,
    ...(Buffer.isBuffer(details) ? { details: toBytes(details) } : {}),
  });
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
