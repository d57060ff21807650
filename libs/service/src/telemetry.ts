import { z } from 'zod';
import { type Environment, integer, oneOf, readEnvironment, variable } from './config.ts';
import type { Log } from './log.ts';

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
  OTEL_EXPORTER_OTLP_TIMEOUT: integer(1, 60_000).default(3_000),
  OTEL_BSP_SCHEDULE_DELAY: integer(1, 60_000).default(5_000),
});

/** What the environment says of traces, in the variables of OpenTelemetry's specification. */
export type TraceSettings = z.output<typeof schema>;

/**
 * Exports traces where OTEL_EXPORTER_OTLP_ENDPOINT says where to, and loads nothing at all where it does
 * not. The exporter reads the other variables of the specification (headers, certificates)
 * itself. Disposing sends what is left, for a moment at most.
 */
export async function startTelemetry(
  service: string,
  environment: Environment,
  log: Log,
): Promise<AsyncDisposable> {
  const settings = readEnvironment(schema, environment);
  if (settings.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return NOTHING;
  const { exportTraces } = await import('./trace-exporter.ts');
  return exportTraces(service, settings, log);
}

const NOTHING: AsyncDisposable = { [Symbol.asyncDispose]: async () => {} };
