import { context, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';

/**
 * Runs what is asked of the database as a span, where it is part of a trace that is exported. What
 * polls by itself has none. A span has the name of a statement, and never its values.
 */
export async function inSpan<T>(name: string, run: () => Promise<T>): Promise<T> {
  const here = trace.getSpanContext(context.active());
  if (here === undefined || (here.traceFlags & TraceFlags.SAMPLED) === 0) return await run();
  const options = { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } };
  return await tracer.startActiveSpan(name, options, async (span) => {
    try {
      return await run();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** A transaction tells which statements it ran, by their names. */
export function noteStatement(name: string | undefined): void {
  if (name === undefined) return;
  trace.getSpan(context.active())?.addEvent(name);
}

const tracer = trace.getTracer('@roost/postgres');
