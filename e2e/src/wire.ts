import { once } from 'node:events';
import { request as http1Request } from 'node:http';
import { request as https1Request } from 'node:https';
import { connect as connectHttp2 } from 'node:http2';
import { Failure } from '@roost/core/failure';
import { Deframer, frame, statusIn, toBase64 } from '@roost/rpc/frames';
import { type CallStatus, errorOf } from '@roost/rpc/status';
import type { Door } from './door.ts';

/** What goes over the wire, byte for byte: nothing is checked or put right on the way. */
export interface RawCall {
  readonly path: string;
  /** The message; it is framed. */
  readonly request?: Uint8Array;
  /** The whole body, in its stead. */
  readonly body?: Uint8Array;
  readonly proof?: Uint8Array | undefined;
  readonly authorization?: string | undefined;
}

/** How a raw call ended. */
export interface Heard {
  /** `OK`, the reason of a refusal, `OPEN` for a stream that goes on, or what HTTP said. */
  readonly said: string;
  readonly failure?: Failure;
  readonly message?: Uint8Array;
  /** By gRPC: all that came but the message, as it came, without what tells the time. */
  readonly headers?: string;
}

const NOTHING = Symbol('no answer');

/** A stream that says something is open, and so is one that is not refused by then. */
const OPEN_AFTER_MS = 3_000;

/** A client that sends whatever it is told, by gRPC over HTTP/2 or by gRPC-web over HTTP/1.1. */
export class Wire {
  readonly #door: Door;

  constructor(door: Door) {
    this.#door = door;
  }

  /** By gRPC; of a stream that stays open nothing more is heard. */
  async grpc(call: RawCall, isStream = false): Promise<Heard> {
    // One connection a call: what one call does to its connection is nothing to the next.
    const { address, ca } = this.#door;
    const url = `${ca === undefined ? 'http' : 'https'}://${address}`;
    const session = connectHttp2(url, { ca }).on('error', ignore);
    const stream = session.request({
      ...{ ':method': 'POST', ':path': call.path, te: 'trailers' },
      ...{ 'content-type': 'application/grpc', ...headersOf(call) },
    });
    const headers: Record<string, unknown> = {};
    stream.on('response', (heard) => Object.assign(headers, heard));
    stream.on('trailers', (heard) => Object.assign(headers, heard));
    const messages = messagesOf(stream);
    const closed = once(stream, 'close').catch(ignore);
    // A refusal may come before the body was taken: what is left of it is not sent.
    stream.on('error', ignore);
    stream.end(bodyOf(call));
    using open = later(OPEN_AFTER_MS);
    const opened = [once(stream, 'data').catch(ignore), open.done];
    await Promise.race([closed, ...(isStream ? opened : [])]);
    const isOpen = !stream.closed;
    session.destroy();
    if (isOpen) return { said: 'OPEN' };
    const status = statusIn((name) => textOf(headers[name]));
    const heard = heardOf(status, `HTTP ${textOf(headers[':status']) ?? 'nothing'}`, messages[0]);
    return { ...heard, headers: JSON.stringify({ ...headers, date: '' }) };
  }

  /** By gRPC-web; a stream is not waited for beyond its refusal. */
  async web(call: RawCall, isStream = false): Promise<Heard> {
    const { address, ca } = this.#door;
    const [host, port] = address.split(':');
    const headers = { 'content-type': 'application/grpc-web+proto', ...headersOf(call) };
    const ask = ca === undefined ? http1Request : https1Request;
    const asked = ask({ host, port, ca, path: call.path, method: 'POST', headers });
    asked.on('error', ignore);
    // Node's parser hangs up on a target that is none.
    const answered = once(asked, 'response').catch(() => [NOTHING]);
    asked.end(bodyOf(call));
    using open = later(isStream ? OPEN_AFTER_MS : 30_000);
    const [response] = (await Promise.race([answered, open.done])) ?? [];
    if (response === NOTHING) return ended(asked, 'HTTP nothing');
    if (response === undefined) return ended(asked, 'OPEN');
    const deframer = new Deframer(64 << 20);
    let message: Uint8Array | undefined;
    let status = statusIn((name) => textOf(response.headers[name]));
    response.on('error', ignore);
    const opened = Promise.withResolvers<undefined>();
    // What is no gRPC-web at all tells its status alone.
    const isFramed = response.headers['content-type']?.startsWith('application/grpc') === true;
    response.on('data', (chunk: Buffer) => {
      if (!isFramed) return;
      for (const each of deframer.push(Uint8Array.from(chunk))) {
        if (each.kind === 'trailers') status = statusIn((name) => each.trailers.get(name));
        else message ??= each.bytes;
      }
      if (isStream && message !== undefined) opened.resolve(undefined);
    });
    const over = once(response, 'close').then(() => true);
    const isOver = (await Promise.race([over, open.done, opened.promise])) === true;
    if (!isOver) return ended(asked, 'OPEN');
    return heardOf(status, `HTTP ${response.statusCode}`, message);
  }
}

function ended(asked: { destroy(): void }, said: string): Heard {
  asked.destroy();
  return { said };
}

function headersOf({ proof, authorization }: RawCall): Record<string, string> {
  return {
    ...(proof === undefined ? {} : { 'roost-proof-bin': toBase64(proof) }),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

function bodyOf({ body, request = new Uint8Array(0) }: RawCall): Uint8Array {
  return body ?? frame(request);
}

function messagesOf(stream: NodeJS.ReadableStream): Uint8Array[] {
  const deframer = new Deframer(64 << 20);
  const messages: Uint8Array[] = [];
  stream.on('data', (chunk: Buffer) => {
    for (const each of deframer.push(Uint8Array.from(chunk))) {
      if (each.kind === 'message') messages.push(each.bytes);
    }
  });
  return messages;
}

function heardOf(
  status: CallStatus | undefined,
  otherwise: string,
  message: Uint8Array | undefined,
): Heard {
  if (status === undefined) return { said: otherwise };
  if (status.code === 0) return { said: 'OK', ...(message === undefined ? {} : { message }) };
  const failure = errorOf(status);
  if (failure instanceof Failure && status.details !== undefined) {
    return { said: failure.reason, failure };
  }
  return { said: `code ${status.code}` };
}

function later(ms: number) {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  return { done: promise, [Symbol.dispose]: () => clearTimeout(timer) };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function ignore(): void {}
