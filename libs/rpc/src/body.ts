import type { Readable } from 'node:stream';

import { Failure } from '@roost/core/failure';

import { Deframer } from './frames.ts';
import { type BoundMethod, tooLarge } from './service.ts';

/** Reads the request of a method, which is as long as its rule allows. */
export async function readRequest(body: Readable, method: BoundMethod): Promise<Uint8Array> {
  try {
    return await readMessage(body, method.requestBytesMax);
  } catch (error) {
    throw error instanceof Failure && error.reason === 'TOO_LARGE' ? tooLarge(method.rule) : error;
  }
}

/** Reads a body of exactly one message. */
export async function readMessage(body: Readable, bytesMax: number): Promise<Uint8Array> {
  let message: Uint8Array | undefined;
  for await (const each of messagesIn(body, bytesMax)) {
    if (message !== undefined) throw notOneMessage();
    message = each;
  }
  if (message === undefined) throw notOneMessage();
  return message;
}

/** The messages of a body, as they come in. */
export async function* messagesIn(body: Readable, bytesMax: number): AsyncGenerator<Uint8Array> {
  const deframer = new Deframer(bytesMax);
  for await (const chunk of chunksOf(body)) {
    for (const each of deframer.push(bytesOf(chunk))) {
      if (each.kind === 'trailers') throw notOneMessage();
      yield each.bytes;
    }
  }
  if (deframer.pending > 0) throw notOneMessage();
}

/** As they come in; a body that breaks off is the caller's doing, whatever Node calls it. */
async function* chunksOf(body: Readable): AsyncGenerator {
  try {
    // Leaving the loop early must not destroy the stream: the refusal still goes out over it.
    for await (const chunk of body.iterator({ destroyOnReturn: false })) yield chunk;
  } catch (error) {
    throw new Failure('UNAVAILABLE', 'the request did not come whole', {}, error);
  }
}

/** A chunk of Node as plain bytes: a Buffer's `slice` does not copy, and equals no Uint8Array. */
function bytesOf(chunk: unknown): Uint8Array {
  if (!(chunk instanceof Uint8Array)) throw notOneMessage();
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function notOneMessage(): Failure {
  return new Failure('MALFORMED', 'the body is not one gRPC message');
}
