import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { Agent, request } from 'node:https';
import { concat, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import type { Door } from '@roost/e2e/door';
import { Deframer, frame, statusIn } from '@roost/rpc/frames';
import { errorOf } from '@roost/rpc/status';

export const WAYS = ['gRPC', 'gRPC-web over HTTP/2', 'gRPC-web over HTTP/1.1'] as const;
export type Way = (typeof WAYS)[number];

/** A call as somebody sends it who keeps to no rule. */
export interface Call {
  readonly path: string;
  readonly request?: Uint8Array;
  /** The whole body, where it is no framed message. */
  readonly body?: Uint8Array;
  readonly authorization?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly method?: string;
}

export interface Answer {
  /** `OK`, the reason of a refusal, `code 4` of one without, or what HTTP said. */
  readonly said: string;
  readonly http: number;
  /** Code, message and details, byte for byte; empty where there was no status. */
  readonly status: string;
  readonly headers: IncomingHttpHeaders;
  readonly messages: readonly Uint8Array[];
}

/** Where calls go, and what is shown there. */
interface Asked extends Door {
  /** That the certificate is for; the address's where it is not given. */
  readonly name?: string;
  /** A certificate of the caller's, PEM. */
  readonly cert?: string;
  readonly key?: string;
}

/** A caller that keeps its connections, one for each way. */
export class Asker implements Disposable {
  readonly #door: Asked;
  readonly #agent: Agent;
  #session: ClientHttp2Session | undefined;

  constructor(door: Asked) {
    this.#door = door;
    this.#agent = new Agent({ keepAlive: true, ca: door.ca });
  }

  async ask(way: Way, call: Call): Promise<Answer> {
    return way === 'gRPC-web over HTTP/1.1'
      ? await this.#http1(call)
      : await this.#http2(way, call);
  }

  /** In each way. */
  async all(call: Call): Promise<Answer[]> {
    const answers = [];
    for (const way of WAYS) answers.push(await this.ask(way, call));
    return answers;
  }

  [Symbol.dispose](): void {
    this.#session?.destroy();
    this.#agent.destroy();
  }

  /**
   * The connection that is kept, but for long bodies: where an answer and the end of a stream come together before the
   * body is sent, Node loses the answer, and on that connection every one after.
   */
  #sessionFor(body: Uint8Array): { readonly session: ClientHttp2Session } & Disposable {
    if (body.length > LONG) {
      const session = this.connection();
      return { session, [Symbol.dispose]: () => session.destroy() };
    }
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = this.connection();
    }
    return { session: this.#session, [Symbol.dispose]: ignore };
  }

  /** A connection of its own, for who looks at frames. */
  connection(): ClientHttp2Session {
    const { address, ca, name, cert, key } = this.#door;
    const servername = name === undefined ? {} : { servername: name };
    return connect(`https://${address}`, { ca, cert, key, ...servername }).on('error', ignore);
  }

  async #http2(way: Way, call: Call): Promise<Answer> {
    const body = bodyOf(call);
    using session = this.#sessionFor(body);
    const stream = session.session.request({
      ...{ ':method': call.method ?? 'POST', ':path': call.path },
      ...headersOf(way, call),
    });
    const [headers, trailers]: [IncomingHttpHeaders, IncomingHttpHeaders] = [{}, {}];
    const chunks: Buffer[] = [];
    stream.on('response', (heard) => Object.assign(headers, heard));
    stream.on('trailers', (heard) => Object.assign(trailers, heard));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', ignore);
    // After a refusal that came before the body was taken, Node does not close the stream by itself.
    const over = new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
    stream.end(body);
    await over;
    stream.destroy();
    return answerOf(Number(headers[':status'] ?? 0), headers, trailers, Buffer.concat(chunks));
  }

  async #http1(call: Call): Promise<Answer> {
    const [host, port] = this.#door.address.split(':');
    const asked = request({
      ...{ host, port, path: call.path, method: call.method ?? 'POST', agent: this.#agent },
      headers: headersOf('gRPC-web over HTTP/1.1', call),
    });
    asked.on('error', ignore);
    const answered = once(asked, 'response').catch(() => [undefined]);
    asked.end(bodyOf(call));
    const [response] = (await answered) as [IncomingMessage | undefined];
    if (response === undefined) return answerOf(0, {}, {}, Buffer.alloc(0));
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', ignore);
    await new Promise((resolve) => response.once('close', resolve));
    return answerOf(response.statusCode ?? 0, response.headers, {}, Buffer.concat(chunks));
  }
}

const LONG = 32_768;

function headersOf(way: Way, { authorization, headers }: Call) {
  return {
    'content-type': way === 'gRPC' ? 'application/grpc' : 'application/grpc-web+proto',
    ...(way === 'gRPC' ? { te: 'trailers' } : { 'x-grpc-web': '1' }),
    ...(authorization === undefined ? {} : { authorization }),
    ...headers,
  };
}

function bodyOf({ body, request: message = new Uint8Array(0), method }: Call): Uint8Array {
  if (method === 'GET' || method === 'OPTIONS') return new Uint8Array(0);
  return body ?? frame(message);
}

function answerOf(
  http: number,
  headers: IncomingHttpHeaders,
  trailers: IncomingHttpHeaders,
  body: Uint8Array,
): Answer {
  const frames = (headers['content-type'] ?? '').startsWith('application/grpc')
    ? new Deframer(64 << 20).push(Uint8Array.from(body))
    : [];
  const last = frames.find((each) => each.kind === 'trailers')?.trailers;
  const status = statusIn(
    (name) => last?.get(name) ?? textOf(trailers[name]) ?? textOf(headers[name]),
  );
  const messages = frames.flatMap((each) => (each.kind === 'message' ? [each.bytes] : []));
  const common = { http, headers, messages };
  if (status === undefined) return { ...common, said: `HTTP ${http || 'nothing'}`, status: '' };
  const printed = `${status.code} ${status.message} ${toHex(status.details ?? concat())}`;
  if (status.code === 0) return { ...common, said: 'OK', status: printed };
  const error = errorOf(status);
  const hasReason = error instanceof Failure && status.details !== undefined;
  return { ...common, said: hasReason ? error.reason : `code ${status.code}`, status: printed };
}

function textOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function ignore(): void {}
