import { Failure } from '@roost/core/failure';

import { isReachable } from './access.ts';
import { type Client, clientOf, type Outgoing, type Transport } from './call.ts';
import type { ServiceDefinition } from './definition.ts';
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
      const signal = signalOf(call);
      try {
        return await Promise.race([method.answer(incoming(call, as, signal)), aborted(signal)]);
      } catch (error) {
        throw asHeard(error, call.signal);
      }
    },
    async *stream(call) {
      const method = find(call.path);
      if (method.kind !== 'stream') throw unknownMethod();
      try {
        yield* method.answer(incoming(call, as, signalOf(call)));
      } catch (error) {
        throw asHeard(error, call.signal);
      }
    },
  };
}

function incoming(call: Outgoing, as: string, signal: AbortSignal): Incoming {
  return { request: call.request, proof: call.proof, caller: as, signal };
}

function signalOf({ deadlineMs, signal }: Outgoing): AbortSignal {
  const deadline = deadlineMs === undefined ? [] : [AbortSignal.timeout(deadlineMs)];
  return AbortSignal.any([...deadline, ...(signal === undefined ? [] : [signal])]);
}

async function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(new Failure('UNAVAILABLE', 'the call took too long'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

/** What the caller would have heard over the wire; a bug keeps its cause, as it is logged here. */
function asHeard(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof Failure) return errorOf(statusOf(error));
  const heard = new ServerError(CODES.INTERNAL, 'internal error');
  heard.cause = error;
  return heard;
}
