import { monitorEventLoopDelay } from 'node:perf_hooks';
import { gauge, type Observe, runningTotal } from './instruments.ts';

/** What every process tells of itself: processor, memory, and how late its event loop is. */
export function observeProcess(): Disposable {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  const observed = [
    runningTotal('roost_process_cpu_seconds_total', 'Processor time, by mode.', (observe) => {
      const { user, system } = process.cpuUsage();
      observe(user / MICROSECONDS, { mode: 'user' });
      observe(system / MICROSECONDS, { mode: 'system' });
    }),
    gauge('roost_process_memory_bytes', 'Memory in use, by kind.', (observe) => {
      const { rss, heapUsed, external } = process.memoryUsage();
      observe(rss, { kind: 'resident' });
      observe(heapUsed, { kind: 'heap' });
      observe(external, { kind: 'external' });
    }),
    gauge('roost_process_start_time_seconds', 'When this process began, since 1970.', (observe) =>
      observe(Math.round(performance.timeOrigin / 1_000)),
    ),
    gauge(
      'roost_event_loop_lag_seconds',
      'How late the event loop was since it was last asked for, by quantile.',
      (observe) => {
        for (const [quantile, percentile] of QUANTILES) {
          const late = lag.percentile(percentile) / NANOSECONDS - LAG_RESOLUTION_MS / 1_000;
          observe(Math.max(0, late), { quantile });
        }
        lag.reset();
      },
    ),
  ];
  return {
    [Symbol.dispose]: () => {
      lag.disable();
      for (const each of observed) each[Symbol.dispose]();
    },
  };
}

/** Tells when a certificate ends: what is named is a role, such as `server` or `ca`. */
export function observeCertificates(
  certificates: () => readonly { readonly name: 'server' | 'ca'; readonly notAfter: Date }[],
): Disposable {
  return gauge(
    'roost_certificate_expiry_timestamp_seconds',
    'When a certificate of this process ends, since 1970.',
    (observe: Observe) => {
      for (const { name, notAfter } of certificates()) {
        observe(Math.floor(+notAfter / 1_000), { certificate: name });
      }
    },
  );
}

const LAG_RESOLUTION_MS = 20;
const MICROSECONDS = 1_000_000;
const NANOSECONDS = 1_000_000_000;
const QUANTILES = [
  ['0.5', 50],
  ['0.99', 99],
  ['1', 100],
] as const;
