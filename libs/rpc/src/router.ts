import { assert, BrokenInvariant } from '@roost/core/assert';
import { Failure } from '@roost/core/failure';
import { TokenClass } from '@roost/proto/roost/access/v1/access';

import { assertPaid, type CallerName, isReachable, TOKEN_CLASS_HEADER } from './access.ts';
import { type Bucket, limitAddress, type Limiter } from './address-limit.ts';
import { arrivingOf } from './arriving.ts';
import { messagesIn, readMessage, readRequest } from './body.ts';
import type { Exchange } from './exchange.ts';
import { GATEWAY } from './destination.ts';
import { answerHealth, HEALTH_PATH, type Health } from './health.ts';
import { observeCall, type ObservedCall, openedBy, UNKNOWN_METHOD, unobserved } from './observe.ts';
import { REFLECTION_PATHS, type Reflection } from './reflection.ts';
import { type BoundMethod, type Incoming, type ServiceBinding, unknownMethod } from './service.ts';
import { type CallStatus, CODES, INTERNAL, OK, statusOf, TOO_LATE } from './status.ts';
import { timeoutMs } from './timeout.ts';

/** The part of a logger that is used here (pino's shape). */
export interface Log {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/**
 * Checks and spends what a call costs, from its path and its authorization header alone; nothing once
 * the signal is aborted, as then the call is refused.
 */
export type TokenGate = (path: string, authorization: string, signal: AbortSignal) => Promise<void>;

export interface RouterOptions {
  readonly bindings: readonly ServiceBinding[];
  /** Who calls over this listener, where no certificate says it. */
  readonly callers: CallerName | { readonly certifiedBy: string };
  /** Absent where an edge in front checks the tokens: then each call has to say that it did. */
  readonly gate?: TokenGate | undefined;
  /** Limits the methods that cost no token, by address. */
  readonly limiter?: Limiter | undefined;
  /** The bucket of one address. */
  readonly exemptBucket?: Bucket | undefined;
  /** How long a unary call may take. */
  readonly unaryMs?: number | undefined;
  readonly health: Health;
  readonly reflection: Reflection | undefined;
  readonly log: Log;
}

const UNARY_MS = 30_000;
/** Requests of the services that are not ours: a name. */
const FOREIGN_BYTES_MAX = 1_024;

/** Why the signal of a call was aborted. */
const DEADLINE = new Failure('UNAVAILABLE', TOO_LATE.message);
const GONE = new Failure('UNAVAILABLE', 'the caller has gone');
const DRAINING = new Failure('DRAINING', 'the server is closing: connect again');

/** Aborts a call when its time is up. */
class Deadline {
  readonly #controller: AbortController;
  #timer: NodeJS.Timeout | undefined;

  constructor(controller: AbortController) {
    this.#controller = controller;
  }

  /** From now on; `undefined` takes it away. */
  set(ms: number | undefined): void {
    clearTimeout(this.#timer);
    if (ms !== undefined) this.#timer = setTimeout(() => this.#controller.abort(DEADLINE), ms);
  }
}

interface Call {
  readonly exchange: Exchange;
  readonly observed: ObservedCall;
  readonly signal: AbortSignal;
  readonly deadline: Deadline;
}

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

  get isDraining(): boolean {
    return this.#draining;
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
    const observed = this.#observe(exchange);
    const { signal } = controller;
    const call = { exchange, observed, signal, deadline: new Deadline(controller) };
    this.#open.add(controller);
    exchange.onGone(() => controller.abort(GONE));
    try {
      call.deadline.set(this.#unaryMsOf(exchange));
      const method = this.#find(exchange);
      const answer = observed.run(() => this.#answer(call, method));
      const last = await until(call.signal, answer);
      exchange.finish(OK, last);
      observed.ended(OK.code);
    } catch (error) {
      this.#refuse(call, error);
    } finally {
      call.deadline.set(undefined);
      this.#open.delete(controller);
    }
  }

  #callerOf({ caller }: Exchange): CallerName {
    const { callers } = this.#options;
    if (typeof callers === 'string') return callers;
    assert(caller !== undefined, 'who gets through this door has said who it is');
    return caller;
  }

  /** Nobody from outside has a say in what is traced, nor in what a call is named. */
  #observe({ path, headers, caller }: Exchange): ObservedCall {
    if (path === HEALTH_PATH) return unobserved;
    const traceparent = caller === undefined ? undefined : headers['traceparent'];
    return observeCall(this.#methods.has(path) ? path : UNKNOWN_METHOD, traceparent);
  }

  #find(exchange: Exchange): BoundMethod | undefined {
    const { path } = exchange;
    if (this.#draining) throw DRAINING;
    if (path === HEALTH_PATH || this.#reflects(path)) return undefined;
    const method = this.#methods.get(path);
    if (method === undefined || !isReachable(method.rule, this.#callerOf(exchange))) {
      throw unknownMethod();
    }
    return method;
  }

  #reflects(path: string): boolean {
    return this.#options.reflection !== undefined && REFLECTION_PATHS.has(path);
  }

  async #answer({ exchange, observed, signal, deadline }: Call, method: BoundMethod | undefined) {
    const { health, reflection } = this.#options;
    if (method === undefined && exchange.path === HEALTH_PATH) {
      return answerHealth(await readMessage(exchange.body, FOREIGN_BYTES_MAX), health);
    }
    if (method === undefined) {
      for await (const message of messagesIn(exchange.body, FOREIGN_BYTES_MAX)) {
        if (reflection !== undefined) await exchange.send(reflection(message));
      }
      return undefined;
    }
    // What a call costs is asked for before any of its bytes are read.
    await this.#charge(exchange, signal, method);
    const arriving = arrivingOf(exchange, this.#callerOf(exchange), signal);
    using _ = await method.admit?.(arriving);
    const incoming: Incoming = {
      ...arriving,
      request: await this.#read(exchange, deadline, method),
      deadlineMs: this.#unaryMsOf(exchange),
    };
    if (method.kind === 'unary') return method.answer(incoming);
    // A stream may last; only its request had to come in time.
    deadline.set(timeoutMs(exchange.headers['grpc-timeout']));
    for await (const message of openedBy(observed, method.answer(incoming))) {
      await exchange.send(message);
      if (signal.aborted) break;
    }
    return undefined;
  }

  /** Whoever sends it slowly does not have the time that its answer may take. */
  async #read(exchange: Exchange, deadline: Deadline, method: BoundMethod): Promise<Uint8Array> {
    const { bodyMs } = method;
    if (bodyMs === undefined) return await readRequest(exchange.body, method);
    const [begun, unaryMs] = [performance.now(), this.#unaryMsOf(exchange)];
    deadline.set(Math.min(bodyMs, unaryMs));
    const request = await readRequest(exchange.body, method);
    deadline.set(Math.max(0, unaryMs - (performance.now() - begun)));
    return request;
  }

  async #charge(
    exchange: Exchange,
    signal: AbortSignal,
    { path, rule }: BoundMethod,
  ): Promise<void> {
    const { gate, limiter, exemptBucket } = this.#options;
    // Of other homeservers there are no tokens: the gateway has counted the call.
    if (this.#callerOf(exchange) === GATEWAY) return;
    if (rule.token !== TokenClass.EXEMPT) {
      if (gate === undefined) assertPaid(rule, exchange.headers[TOKEN_CLASS_HEADER]);
      else await gate(path, exchange.headers.authorization ?? '', signal);
      return;
    }
    if (limiter === undefined || exchange.address === '') return;
    await limitAddress(limiter, exchange.address, rule, exemptBucket);
  }

  #unaryMsOf({ headers }: Exchange): number {
    return Math.min(
      timeoutMs(headers['grpc-timeout']) ?? Infinity,
      this.#options.unaryMs ?? UNARY_MS,
    );
  }

  #refuse({ exchange, observed, signal }: Call, thrown: unknown): void {
    // After an abort whatever was thrown is its consequence: the cause is what the caller hears.
    const error: unknown = signal.aborted ? signal.reason : thrown;
    const status = this.#statusOf(exchange, error);
    exchange.finish(status);
    if (error === GONE) observed.ended(CODES.CANCELLED);
    else observed.ended(status.code, error instanceof Failure ? error : undefined);
  }

  #statusOf({ path }: Exchange, error: unknown): CallStatus {
    if (error === DEADLINE) return TOO_LATE;
    if (error instanceof Failure) return statusOf(error);
    this.#options.log.error({ method: path, ...loggable(error) }, 'a call failed');
    return INTERNAL;
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
function loggable(error: unknown): object {
  if (!(error instanceof Error)) return { error: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const code: unknown = Reflect.get(error, 'code');
  // An error again, and under names that the log keeps: it drops what it does not know.
  const told = new Error(error instanceof BrokenInvariant ? error.message : error.name);
  told.stack = [told.message, ...frames.slice(0, FRAMES_MAX)].join('\n');
  return { error: told, ...(typeof code === 'string' ? { code } : {}) };
}

const FRAMES_MAX = 8;
