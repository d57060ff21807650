import { metrics } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { emptyResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  InstrumentType,
  MeterProvider,
  MetricReader,
} from '@opentelemetry/sdk-metrics';
import { gauge } from './instruments.ts';
import { observeProcess } from './process-metrics.ts';

/** What Prometheus asks for. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Metrics extends AsyncDisposable {
  /** All numbers of this process, as Prometheus reads them. */
  page(): Promise<string>;
}

export interface MetricsOptions {
  readonly service: string;
  readonly version: string;
}

/**
 * Collects the numbers of this process. To be called before anything else is opened: who counts takes
 * its instruments when it is made, and those that are made earlier count nothing.
 */
export function startMetrics({ service, version }: MetricsOptions): Metrics {
  const reader = new PageReader();
  const provider = new MeterProvider({ resource: emptyResource(), readers: [reader] });
  metrics.setGlobalMeterProvider(provider);
  gauge('roost_build_info', 'Which service this is, and of which version.', (observe) =>
    observe(1, { service, version }),
  );
  const observed = observeProcess();
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  return {
    async page() {
      const { resourceMetrics, errors } = await reader.collect();
      const failed = errors.length === 0 ? '' : `# gauges that failed: ${errors.length}\n`;
      return `${serializer.serialize(resourceMetrics).trim()}\n${failed}`;
    },
    async [Symbol.asyncDispose]() {
      observed[Symbol.dispose]();
      metrics.disable();
      await provider.shutdown();
    },
  };
}

/** Collects when it is asked, and never by itself. */
class PageReader extends MetricReader {
  constructor() {
    // A gauge that could not be read just now is left out: its last value would look like today's.
    super({
      aggregationTemporalitySelector: (type) =>
        type === InstrumentType.OBSERVABLE_GAUGE
          ? AggregationTemporality.DELTA
          : AggregationTemporality.CUMULATIVE,
    });
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}
