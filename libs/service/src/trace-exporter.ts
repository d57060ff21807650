import { randomUUID } from 'node:crypto';
import {
  context,
  diag,
  DiagLogLevel,
  type DiagLogger,
  propagation,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { sleep } from '@roost/core/time';
import type { Log } from './log.ts';
import type { TraceSettings } from './telemetry.ts';

/** How long the last spans may take to leave. */
const FLUSH_MS = 3_000;
/** A collector that is away is said once in so long. */
const COMPLAIN_EVERY_MS = 60_000;

/** Sends the spans of this process to a collector. */
export function exportTraces(service: string, settings: TraceSettings, log: Log): AsyncDisposable {
  diag.setLogger(complaints(log), { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
  // No longer than a process may take to end.
  const exporter = new OTLPTraceExporter({ timeoutMillis: settings.OTEL_EXPORTER_OTLP_TIMEOUT });
  const provider = new TracerProvider({
    resource: resourceOf(service),
    sampler: samplerOf(settings),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        scheduledDelayMillis: settings.OTEL_BSP_SCHEDULE_DELAY,
      }),
    ],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return {
    async [Symbol.asyncDispose]() {
      trace.disable();
      const stop = new AbortController();
      const flushed = provider.shutdown().catch(() => {});
      await Promise.race([flushed, sleep(FLUSH_MS, stop.signal)]);
      stop.abort();
    },
  };
}

/** What all spans of this process share: not the host, and nobody's address. */
function resourceOf(service: string): Resource {
  const ours = resourceFromAttributes({
    'service.namespace': 'roost',
    'service.name': `roost-${service}`,
    'service.instance.id': randomUUID(),
  });
  return ours.merge(detectResources({ detectors: [envDetector] }));
}

function samplerOf({
  OTEL_TRACES_SAMPLER: name,
  OTEL_TRACES_SAMPLER_ARG: ratio,
}: TraceSettings): Sampler {
  const root: Sampler = name.endsWith('always_on')
    ? new AlwaysOnSampler()
    : name.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(ratio);
  return name.startsWith('parentbased') ? new ParentBasedSampler({ root }) : root;
}

/** The SDK's errors hold addresses and answers: that something does not work is enough. */
function complaints(log: Log): DiagLogger {
  let saidAt = -Infinity;
  return {
    error: () => {
      if (performance.now() - saidAt < COMPLAIN_EVERY_MS) return;
      saidAt = performance.now();
      log.warn({}, 'traces could not be exported: is OTEL_EXPORTER_OTLP_ENDPOINT there?');
    },
    warn: silent,
    info: silent,
    debug: silent,
    verbose: silent,
  };
}

function silent(): void {}
