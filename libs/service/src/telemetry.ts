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
import { z } from 'zod';
import { type Environment, integer, oneOf, readEnvironment, variable } from './config.ts';
import type { Log } from './log.ts';

/** How long the last spans may take to leave. */
const FLUSH_MS = 3_000;
/** A collector that is away is said once in so long. */
const COMPLAIN_EVERY_MS = 60_000;

const url = variable('a URL, such as http://collector:4318', (text) =>
  URL.canParse(text) && /^https?:/.test(text) ? text : undefined,
);

const share = variable('a share from 0 to 1, such as 0.01', (text) => {
  const value = Number(text);
  return text !== '' && value >= 0 && value <= 1 ? value : undefined;
});

const schema = z.object({
  OTEL_EXPORTER_OTLP_ENDPOINT: url.optional(),
  OTEL_TRACES_SAMPLER: oneOf(
    'always_on',
    'always_off',
    'traceidratio',
    'parentbased_always_on',
    'parentbased_always_off',
    'parentbased_traceidratio',
  ).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: share.default(1),
  OTEL_BSP_SCHEDULE_DELAY: integer(1, 60_000).default(5_000),
});

type Settings = z.output<typeof schema>;

/**
 * Exports traces where OTEL_EXPORTER_OTLP_ENDPOINT says where to, and does nothing at all where it does
 * not. The exporter reads the other variables of the specification (headers, timeouts, certificates)
 * itself. Disposing sends what is left, for a moment at most.
 */
export function startTelemetry(
  service: string,
  environment: Environment,
  log: Log,
): AsyncDisposable {
  const settings = readEnvironment(schema, environment);
  if (settings.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) {
    return { [Symbol.asyncDispose]: async () => {} };
  }
  diag.setLogger(complaints(log), { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
  const provider = new TracerProvider({
    resource: resourceOf(service),
    sampler: samplerOf(settings),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(),
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

function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: ratio }: Settings) {
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
