import { Failure, REASONS } from '@roost/core/failure';

import { isReachable } from './access.ts';
import { type Client, clientOf, type Outgoing, type Transport } from './call.ts';
import type { ServiceDefinition } from './definition.ts';
import { observeLocalCall } from './observe.ts';
import { type BoundMethod, type Incoming, type ServiceBinding, unknownMethod } from './service.ts';
import { CODES, errorOf, ServerError, statusOf } from './status.ts';

/**
 * A client of a service in the same process, as the service named `as`. Messages are still encoded
 * and decoded and the rule is still applied, so that nothing works here that would not over the wire.
 */
export function localClient<D extends ServiceDefinition>(
  definition: D,
  binding: ServiceBinding,
  as: string,
): Client<D> {
  return clientOf(definition, localTransport([binding], as));
}

/** The transport of `localClient`, for several services at once. */
export function localTransport(bindings: readonly ServiceBinding[], as: string): Transport {
  const find = (path: string): BoundMethod => {
    const method = bindings.find((each) => each.methods.has(path))?.methods.get(path);
    if (method === undefined || !isReachable(method.rule, as)) throw unknownMethod();
    return method;
  };
  return {
    async unary(call) {
      const method = find(call.path);
      if (method.kind !== 'unary') throw unknownMethod();
      using patience = new Patience(call);
      const observed = observeLocalCall(call.path);
      try {
        const answer = observed.run(() => method.answer(incoming(call, as, patience.signal)));
        const answered = await Promise.race([answer, patience.ended]);
        observed.ended(CODES.OK);
        return answered;
      } catch (error) {
        if (error instanceof Failure) observed.ended(CODES[REASONS[error.reason]], error);
        else observed.ended(CODES.INTERNAL);
        throw asHeard(error, call.signal);
      }
    },
    async *stream(call) {
      const method = find(call.path);
      if (method.kind !== 'stream') throw unknownMethod();
      using patience = new Patience(call);
      try {
        yield* method.answer(incoming(call, as, patience.signal));
      } catch (error) {
        throw asHeard(error, call.signal);
      }
    },
  };
}

function incoming(call: Outgoing, as: string, signal: AbortSignal): Incoming {
  const { request, proof, deadlineMs, source } = call;
  return { request, proof, caller: as, signal, deadlineMs, source };
}

/**
 * How long a call may take. `AbortSignal.any` and `.timeout` would cost as much as verifying a token, and
 * keep a timer for each call long after it has ended.
 */
class Patience implements Disposable {
  /** Rejects when the caller waits no longer. */
  readonly ended: Promise<never>;
  readonly #caller: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #reject: (error: Failure) => void = () => {};

  constructor({ deadlineMs, signal }: Outgoing) {
    this.ended = new Promise((_, reject) => {
      this.#reject = reject;
    });
    // A stream does not wait for it.
    this.ended.catch(() => {});
    this.#caller = signal;
    if (signal?.aborted === true) this.#end();
    signal?.addEventListener('abort', this.#end);
    if (deadlineMs !== undefined) this.#timer = setTimeout(this.#end, deadlineMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly #end = (): void => {
    this.#controller.abort();
    this.#reject(new Failure('UNAVAILABLE', 'the call took too long'));
  };

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#end);
  }
}

/** What the caller would have heard over the wire; a bug keeps its cause, as it is logged here. */
function asHeard(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof Failure) return errorOf(statusOf(error));
  const heard = new ServerError(CODES.INTERNAL, 'internal error');
  heard.cause = error;
  return heard;
}
