import {
  context,
  type Context,
  type Histogram,
  metrics,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import type { Failure } from '@roost/core/failure';
import { CODES } from './status.ts';

/** One call, as operators see it: a span and some numbers, and nothing of what was asked. */
export interface ObservedCall {
  /** Runs the work of the call as part of its span. */
  run<T>(work: () => T): T;
  /** A stream is open: it may last for hours, so its span ends here. */
  opened(): void;
  ended(code: number, refusal?: Failure): void;
}

/** The name of every call to what is no method of ours: what callers make up is no label. */
export const UNKNOWN_METHOD = 'unknown';

/** Tells that a call could not be counted, and what its rule made of that. */
export function limiterAway(outcome: 'passed' | 'refused'): void {
  calls.limiterAway(outcome);
}

/** What probes ask all the time is neither traced nor counted. */
export const unobserved: ObservedCall = {
  run: (work) => work(),
  opened: () => {},
  ended: () => {},
};

/** Begins to observe a call from elsewhere; `traceparent` (W3C) only where we know who says it. */
export function observeCall(method: string, traceparent: Header): ObservedCall {
  if (typeof traceparent !== 'string') return observe(method, ROOT_CONTEXT);
  return observe(method, propagation.extract(ROOT_CONTEXT, { traceparent }));
}

/** The same for a call in this process, as part of what its caller does. */
export function observeLocalCall(method: string): ObservedCall {
  return observe(method, context.active());
}

type Header = string | readonly string[] | undefined;

function observe(method: string, parent: Context): ObservedCall {
  const began = performance.now();
  const name = nameOf(method);
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, parent);
  const inside = span.isRecording() ? trace.setSpan(parent, span) : parent;
  let isEnded = false;
  let isStream = false;
  const end = (): void => {
    if (!isEnded) span.end();
    isEnded = true;
  };
  calls.began(name);
  return {
    run: (work) => context.with(inside, work),
    opened: () => {
      isStream = true;
      end();
    },
    ended: (code, refusal) => {
      const seconds = isStream ? undefined : (performance.now() - began) / 1_000;
      calls.ended(name, code, refusal?.reason, seconds);
      if (isEnded) return;
      if (span.isRecording()) {
        span.setAttributes({ 'rpc.system': 'grpc', 'rpc.method': name });
        span.setAttribute('rpc.response.status_code', codeName(code));
        if (refusal !== undefined) span.setAttribute('roost.reason', refusal.reason);
        if (OUR_FAULT.has(code)) span.setStatus({ code: SpanStatusCode.ERROR });
      }
      end();
    },
  };
}

/** Calls another service: what goes with the call so that its span is below ours. */
export async function observeCalling<T>(
  path: string,
  call: (traceparent: string | undefined) => Promise<T>,
): Promise<T> {
  const here = trace.getSpanContext(context.active());
  if (here === undefined || (here.traceFlags & TraceFlags.SAMPLED) === 0) {
    return await call(undefined);
  }
  const span = tracer.startSpan(nameOf(path), { kind: SpanKind.CLIENT });
  const carrier: { traceparent?: string } = {};
  propagation.inject(trace.setSpan(context.active(), span), carrier);
  try {
    return await call(carrier.traceparent);
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}

/**
 * A stream whose first message belongs to the call that opened it. What comes later belongs to whoever
 * caused it: or else one listener's trace would gather all that it ever hears.
 */
export function openedBy<T>(observed: ObservedCall, messages: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let isOpen = false;
  const next = async (): Promise<IteratorResult<T>> => {
    if (isOpen) return await context.with(ROOT_CONTEXT, () => iterator.next());
    isOpen = true;
    const first = await observed.run(() => iterator.next());
    observed.opened();
    return first;
  };
  const stop = async (): Promise<IteratorResult<T>> =>
    (await iterator.return?.()) ?? { done: true, value: undefined };
  return { [Symbol.asyncIterator]: () => ({ next, return: stop }) };
}

const tracer = trace.getTracer('@roost/rpc');

/** Codes that say that the server is not well, rather than that the caller is wrong. */
const OUR_FAULT: ReadonlySet<number> = new Set([
  ...[CODES.UNKNOWN, CODES.DEADLINE_EXCEEDED, CODES.INTERNAL],
  ...[CODES.UNAVAILABLE, CODES.DATA_LOSS],
]);

const CODE_NAMES: readonly string[] = Object.keys(CODES);

function codeName(code: number): string {
  return CODE_NAMES[code] ?? 'UNKNOWN';
}

/** As in the specification: without the slash that begins the path. */
function nameOf(method: string): string {
  return method.startsWith('/') ? method.slice(1) : method;
}

/** Where most answers lie: 5 ms to 5 s, finer where they are expected. */
const BOUNDARIES_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Rate, errors and duration of all calls of this process. */
class Calls {
  readonly #inFlight = new Map<string, number>();
  #instruments: ReturnType<Calls['make']> | undefined;

  began(method: string): void {
    this.#instruments ??= this.make();
    this.#inFlight.set(method, (this.#inFlight.get(method) ?? 0) + 1);
  }

  ended(method: string, code: number, reason: string | undefined, seconds?: number): void {
    this.#inFlight.set(method, (this.#inFlight.get(method) ?? 1) - 1);
    this.#instruments ??= this.make();
    const { total, refusals, duration } = this.#instruments;
    total.add(1, { method, code: codeName(code) });
    if (seconds !== undefined) duration.record(seconds, { method });
    if (reason !== undefined) refusals.add(1, { reason });
  }

  limiterAway(outcome: string): void {
    this.#instruments ??= this.make();
    this.#instruments.away.add(1, { outcome });
  }

  /** With the first call: whoever exports has been set up by then. */
  make() {
    const meter = metrics.getMeter('@roost/rpc');
    const total = meter.createCounter('roost_rpc_calls_total', {
      description: 'Calls that ended, by method and gRPC code.',
    });
    const refusals = meter.createCounter('roost_rpc_refusals_total', {
      description: 'Calls that were refused, by reason.',
    });
    const duration: Histogram = meter.createHistogram('roost_rpc_duration_seconds', {
      description: 'How long unary calls took, by method.',
      unit: 's',
      advice: { explicitBucketBoundaries: BOUNDARIES_S },
    });
    const inFlight = meter.createObservableGauge('roost_rpc_in_flight', {
      description: 'Calls that are open, by method; of Listen: listeners.',
    });
    inFlight.addCallback((result) => {
      for (const [method, count] of this.#inFlight) result.observe(count, { method });
    });
    const away = meter.createCounter('roost_rpc_limiter_away_total', {
      description: 'Calls without a token that nobody could count, by what became of them.',
    });
    for (const outcome of ['passed', 'refused']) away.add(0, { outcome });
    return { total, refusals, duration, away };
  }
}

const calls = new Calls();
