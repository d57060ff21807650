import {
  context,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span,
} from '@opentelemetry/api';
import { fromHex, toHex } from '@roost/core/bytes';
import { Failure } from '@roost/core/failure';
import { TRACE_BYTES } from './frames.ts';

/**
 * Where a piece of work stands in the traces of OpenTelemetry: what crosses the bus, the outbox and the
 * batches that many requests share. Where nothing is traced, all of this costs next to nothing.
 */
export type Trace = Context;

/** Work that belongs to nobody's request. */
export const untraced: Trace = ROOT_CONTEXT;

/** The trace of whoever calls. */
export function traceHere(): Trace {
  return context.active();
}

/** Runs something as part of a trace; `untraced` takes it out of any. */
export function within<T>(at: Trace, run: () => T): T {
  return context.with(at, run);
}

/** Whether a trace is one that is going to be exported. */
export function isTraced(at: Trace): boolean {
  const found = trace.getSpanContext(at);
  return found !== undefined && (found.traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** The bytes of a trace; none where it is not exported. */
export function traceBytes(at: Trace = context.active()): Uint8Array {
  const found = trace.getSpanContext(at);
  if (found === undefined || !isTraced(at)) return NOTHING;
  return fromHex(found.traceId + found.spanId) ?? NOTHING;
}

/** What `traceBytes` wrote, elsewhere. */
export function traceOf(bytes: Uint8Array): Trace {
  if (bytes.length !== TRACE_BYTES) return untraced;
  const hex = toHex(bytes);
  const [traceId, spanId] = [hex.slice(0, 32), hex.slice(32)];
  const remote = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true };
  return trace.setSpanContext(ROOT_CONTEXT, remote);
}

/** Whether both are parts of one trace. */
export function isSameTrace(a: Trace, b: Trace): boolean {
  const id = trace.getSpanContext(a)?.traceId;
  return id !== undefined && id === trace.getSpanContext(b)?.traceId;
}

/** The W3C header that says where we are; `undefined` where nothing is exported. */
export function traceparent(): string | undefined {
  if (!isTraced(context.active())) return undefined;
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** Runs something inside of the trace that such a header names; without one, in none. */
export function continueTrace<T>(header: string | undefined, run: () => T): T {
  const at =
    header === undefined || header === ''
      ? ROOT_CONTEXT
      : propagation.extract(ROOT_CONTEXT, { traceparent: header });
  return context.with(at, run);
}

/** A piece of work that has begun. */
export interface Running {
  /** For what is done as part of it. */
  readonly trace: Trace;
  end(error?: unknown): void;
}

export type Role = 'inside' | 'sends' | 'receives';

/** Begins a span below another; nothing where that one is not exported. */
export function begin(name: string, role: Role, under: Trace = context.active()): Running {
  if (!isTraced(under)) return { trace: under, end: nothing };
  const span = tracer.startSpan(name, { kind: KINDS[role] }, under);
  return { trace: trace.setSpan(under, span), end: (error) => endSpan(span, error) };
}

/** Whether this process exports traces at all: who asks saves what only they need. */
export function isExporting(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('') !== undefined;
}

/**
 * Runs something that several traces have a part in: each gets a span, and what is done inside is shown
 * in the first alone, as no trace may lead to another.
 */
export async function inEach<T>(
  name: string,
  role: Role,
  traces: readonly Trace[],
  run: () => Promise<T>,
): Promise<T> {
  const running = traces.filter(isTraced).map((under) => begin(name, role, under));
  const [first] = running;
  if (first === undefined) return await run();
  try {
    const value = await context.with(first.trace, run);
    for (const each of running) each.end();
    return value;
  } catch (error) {
    for (const each of running) each.end(error);
    throw error;
  }
}

/** Runs something as a span of its own. */
export async function inSpan<T>(name: string, role: Role, run: () => Promise<T>): Promise<T> {
  if (!isTraced(context.active())) return await run();
  const running = begin(name, role);
  try {
    const value = await context.with(running.trace, run);
    running.end();
    return value;
  } catch (error) {
    running.end(error);
    throw error;
  }
}

const tracer = trace.getTracer('@roost/bus');
const NOTHING = new Uint8Array(0);
const KINDS = {
  inside: SpanKind.INTERNAL,
  sends: SpanKind.PRODUCER,
  receives: SpanKind.CONSUMER,
} as const satisfies Record<Role, SpanKind>;

function nothing(): void {}

/** Of what went wrong only the reason: texts of errors can hold ids. */
function endSpan(span: Span, error: unknown): void {
  if (error !== undefined) {
    span.setAttribute('roost.reason', error instanceof Failure ? error.reason : 'INTERNAL');
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
