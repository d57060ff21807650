import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Failure } from '@roost/core/failure';
import { counter, gauge, histogram } from './instruments.ts';
import { type Metrics, startMetrics } from './metrics.ts';
import { observeCertificates } from './process-metrics.ts';

let metrics: Metrics;
beforeAll(() => {
  metrics = startMetrics({ service: 'qs', version: '1.2.3' });
});
afterAll(async () => {
  await metrics[Symbol.asyncDispose]();
});

test('a page tells what every process tells of itself', async () => {
  const page = await metrics.page();
  expect(page).toContain('roost_build_info{service="qs",version="1.2.3"} 1\n');
  expect(page).toMatch(/^roost_process_cpu_seconds_total\{mode="user"\} \d/m);
  expect(page).toMatch(/^roost_process_memory_bytes\{kind="resident"\} \d{6,}$/m);
  expect(page).toMatch(/^roost_event_loop_lag_seconds\{quantile="0.99"\} \d/m);
});

test('every series of a counter is there from the start', async () => {
  const count = counter('roost_test_tokens_total', 'Tokens.', { class: ['general', 'contact'] });
  expect(await metrics.page()).toContain('roost_test_tokens_total{class="contact"} 0\n');
  count({ class: 'contact' }, 3);
  count({ class: 'contact' });
  expect(await metrics.page()).toContain('roost_test_tokens_total{class="contact"} 4\n');
});

test('a value that was not declared is no label, whatever callers make up', async () => {
  const count = counter('roost_test_calls_total', 'Calls.', { reason: ['GOOD'] });
  const measure = histogram('roost_test_size', 'Sizes.', {
    boundaries: [1, 10],
    labels: { kind: ['small'] },
  });
  for (let at = 0; at < 100; at++) {
    count({ reason: `alice-${at}@example.org` });
    measure(at, { kind: `alice-${at}` });
  }
  const page = await metrics.page();
  expect(page).toContain('roost_test_calls_total{reason="other"} 100\n');
  expect(page).toContain('roost_test_size_count{kind="other"} 100\n');
  expect(page).not.toContain('alice');
});

test('a gauge is read when it is asked for, and is missing where it cannot be read', async () => {
  let depth = 1;
  const observed = gauge('roost_test_depth', 'Depth.', async (observe) => {
    if (depth > 2) throw new Failure('UNAVAILABLE', 'the database is away');
    observe(depth);
  });
  expect(await metrics.page()).toContain('roost_test_depth 1\n');
  depth = 2;
  expect(await metrics.page()).toContain('roost_test_depth 2\n');
  depth = 3;
  expect(await metrics.page()).not.toMatch(/^roost_test_depth/m);
  depth = 1;
  expect(await metrics.page()).toContain('roost_test_depth 1\n');
  observed[Symbol.dispose]();
  expect(await metrics.page()).not.toMatch(/^roost_test_depth/m);
});

test('a gauge that is wrong harms no other, and is noticed', async () => {
  using _ = gauge('roost_test_broken', 'Broken.', () => {
    throw new TypeError('a mistake of ours');
  });
  const page = await metrics.page();
  expect(page).toContain('roost_build_info');
  expect(page).toContain('# gauges that failed: 1\n');
});

test('certificates tell when they end', async () => {
  const notAfter = new Date('2027-01-01T00:00:00Z');
  using _ = observeCertificates(() => [{ name: 'server', notAfter }]);
  expect(await metrics.page()).toContain(
    'roost_certificate_expiry_timestamp_seconds{certificate="server"} 1798761600\n',
  );
});
