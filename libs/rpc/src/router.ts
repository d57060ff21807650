import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';

import { BrokenInvariant } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { TokenClass } from '@roost/proto/roost/access/v1/access';

import { type CallerName, isReachable } from './access.ts';
import { PROOF_METADATA } from './call.ts';
import type { Exchange } from './exchange.ts';
import { Deframer, fromBase64 } from './frames.ts';
import { answerHealth, HEALTH_PATH, type Health } from './health.ts';
import {
  type BoundMethod,
  type Incoming,
  type ServiceBinding,
  tooLarge,
  unknownMethod,
} from './service.ts';
import { CODES, INTERNAL, OK, statusOf } from './status.ts';

/** The part of a logger that is used here (pino's shape). */
export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** Checks and spends what a call costs, from its path and its authorization header alone. */
export type TokenGate = (path: string, authorization: string) => Promise<void>;

/** Token buckets by key; the shape of the port in `@roost/bus`. */
export interface Limiter {
  take(key: string, cost: number, bucket: Bucket): Promise<Taken>;
}

export interface Bucket {
  readonly capacity: number;
  readonly refillPerSecond: number;
}

type Taken = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

export interface RouterOptions {
  readonly bindings: readonly ServiceBinding[];
  /** Who calls over this listener. */
  readonly callers: CallerName;
  /** Absent where an edge in front has checked the tokens. */
  readonly gate?: TokenGate | undefined;
  /** Limits the methods that cost no token, by address. */
  readonly limiter?: Limiter | undefined;
  /** The bucket of one address. */
  readonly exemptBucket?: Bucket | undefined;
  /** How long a unary call may take. */
  readonly unaryMs?: number | undefined;
  readonly health: Health;
  readonly log: Log;
}

const EXEMPT_BUCKET: Bucket = { capacity: 120, refillPerSecond: 2 };
const UNARY_MS = 30_000;

/** Why the signal of a call was aborted. */
const DEADLINE = new Failure('UNAVAILABLE', 'the call took too long');
const DRAINING = new Failure('DRAINING', 'the server is closing: connect again');

/** Takes each call through its method's rule to its handler, and says how it ended. */
export class Router {
  readonly #methods = new Map<string, BoundMethod>();
  readonly #options: RouterOptions;
  readonly #open = new Set<AbortController>();
  #draining = false;

  constructor(options: RouterOptions) {
    this.#options = options;
    for (const binding of options.bindings) {
      for (const [path, method] of binding.methods) this.#methods.set(path, method);
    }
  }

  /** Calls that have not ended. */
  get openCalls(): number {
    return this.#open.size;
  }

  /** From now on new calls are refused with DRAINING; open ones go on. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends what is still open. */
  abort(): void {
    for (const controller of this.#open) controller.abort(DRAINING);
  }

  async take(exchange: Exchange): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    this.#open.add(controller);
    exchange.onGone(() => controller.abort(new Failure('UNAVAILABLE', 'the caller has gone')));
    let timer: NodeJS.Timeout | undefined;
    try {
      const method = this.#find(exchange.path);
      const deadlineMs = this.#deadlineOf(exchange, method);
      if (deadlineMs !== undefined)
        timer = setTimeout(() => controller.abort(DEADLINE), deadlineMs);
      const last = await until(signal, this.#answer(exchange, method, signal));
      exchange.finish(OK, last);
    } catch (error) {
      this.#refuse(exchange, error, signal);
    } finally {
      clearTimeout(timer);
      this.#open.delete(controller);
    }
  }

  #find(path: string): BoundMethod | undefined {
    if (this.#draining) throw DRAINING;
    if (path === HEALTH_PATH) return undefined;
    const method = this.#methods.get(path);
    if (method === undefined || !isReachable(method.rule, this.#options.callers)) {
      throw unknownMethod();
    }
    return method;
  }

  async #answer(exchange: Exchange, method: BoundMethod | undefined, signal: AbortSignal) {
    if (method === undefined) {
      return answerHealth(await readMessage(exchange.body, 1_024), this.#options.health);
    }
    // What a call costs is asked for before any of its bytes are read.
    await this.#charge(exchange, method);
    const incoming: Incoming = {
      request: await readRequest(exchange.body, method),
      proof: proofIn(exchange),
      caller: this.#options.callers,
      signal,
    };
    if (method.kind === 'unary') return method.answer(incoming);
    for await (const message of method.answer(incoming)) {
      await exchange.send(message);
      if (signal.aborted) break;
    }
    return undefined;
  }

  async #charge(exchange: Exchange, { path, rule }: BoundMethod): Promise<void> {
    const { gate, limiter, exemptBucket = EXEMPT_BUCKET } = this.#options;
    if (rule.token !== TokenClass.EXEMPT) {
      await gate?.(path, exchange.headers.authorization ?? '');
      return;
    }
    if (limiter === undefined || exchange.address === '') return;
    const taken = await limiter.take(addressKey(exchange.address), 1, exemptBucket);
    if (!taken.ok) {
      const { retryAfterMs } = taken;
      throw new Failure('RATE_LIMITED', 'too many calls from this address', { retryAfterMs });
    }
  }

  #deadlineOf(exchange: Exchange, method: BoundMethod | undefined): number | undefined {
    const asked = timeoutMs(exchange.headers['grpc-timeout']);
    if (method?.kind === 'stream') return asked;
    return Math.min(asked ?? Infinity, this.#options.unaryMs ?? UNARY_MS);
  }

  #refuse(exchange: Exchange, thrown: unknown, signal: AbortSignal): void {
    // After an abort whatever was thrown is its consequence: the cause is what the caller hears.
    const error: unknown = signal.aborted ? signal.reason : thrown;
    if (error === DEADLINE) {
      exchange.finish({ code: CODES.DEADLINE_EXCEEDED, message: DEADLINE.message });
    } else if (error instanceof Failure) {
      exchange.finish(statusOf(error));
    } else {
      this.#options.log.error({ path: exchange.path, ...loggable(error) }, 'a call failed');
      exchange.finish(INTERNAL);
    }
  }
}

/** The result, or the reason of the signal as soon as it is aborted. */
async function until<T>(signal: AbortSignal, result: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([result, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * What may be known of an error of ours: its kind and where it happened. Messages of libraries can
 * hold ids, so only those of our own invariants are logged.
 */
export function loggable(error: unknown): object {
  if (!(error instanceof Error)) return { error: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const code: unknown = Reflect.get(error, 'code');
  return {
    error: error.name,
    ...(error instanceof BrokenInvariant ? { invariant: error.message } : {}),
    ...(typeof code === 'string' ? { code } : {}),
    at: frames.slice(0, 8).map((line) => line.trim()),
  };
}

async function readRequest(body: Readable, method: BoundMethod): Promise<Uint8Array> {
  try {
    return await readMessage(body, method.requestBytesMax);
  } catch (error) {
    throw error instanceof Failure && error.reason === 'TOO_LARGE' ? tooLarge(method.rule) : error;
  }
}

/** Reads a body of exactly one message. */
async function readMessage(body: Readable, bytesMax: number): Promise<Uint8Array> {
  const deframer = new Deframer(bytesMax);
  let message: Uint8Array | undefined;
  // Leaving the loop early must not destroy the stream: the refusal still goes out over it.
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    for (const each of deframer.push(bytesOf(chunk))) {
      if (message !== undefined || each.kind === 'trailers') throw notOneMessage();
      message = each.bytes;
    }
  }
  if (message === undefined || deframer.pending > 0) throw notOneMessage();
  return message;
}

/** A chunk of Node as plain bytes: a Buffer's `slice` does not copy, and equals no Uint8Array. */
function bytesOf(chunk: unknown): Uint8Array {
  if (!(chunk instanceof Uint8Array)) throw notOneMessage();
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function notOneMessage(): Failure {
  return new Failure('MALFORMED', 'the body is not one gRPC message');
}

function proofIn({ headers }: Exchange): Uint8Array | undefined {
  const value = headers[PROOF_METADATA];
  if (value === undefined) return undefined;
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined;
  if (bytes === undefined) throw new Failure('MALFORMED', `${PROOF_METADATA}: is not base64`);
  return bytes;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** `grpc-timeout`: up to eight digits and a unit; anything else is no timeout. */
function timeoutMs(header: string | readonly string[] | undefined): number | undefined {
  const match = typeof header === 'string' ? /^([0-9]{1,8})([HMSmun])$/.exec(header) : null;
  const unit = UNIT_MS[match?.[2] ?? ''];
  if (match === null || unit === undefined) return undefined;
  return Math.min(Number(match[1]) * unit, 2 ** 31 - 1);
}

/** A key that does not show the address; of IPv6 the /64, which is what one subscriber has. */
function addressKey(address: string): string {
  const isV6 = address.includes(':') && !address.includes('.');
  const whole = isV6 ? expanded(address).slice(0, 4).join(':') : address.replace(/^.*:/, '');
  return `address.${createHash('sha256').update(whole).digest('hex').slice(0, 32)}`;
}

function expanded(address: string): string[] {
  const [left = '', right = ''] = address.split('%')[0]?.split('::') ?? [];
  const head = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return [...head, ...zeros, ...tail];
}
