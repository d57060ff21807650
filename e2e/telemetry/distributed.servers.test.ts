// One message through separate services on real servers: Envoy, AAS, DS, NATS, QS, listener. Each process exports
// what it did by itself, and it is one trace. Its tree is printed, and lies with the logs of the run.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Collector } from './collector.ts';
import type { ExportedSpan } from './otlp.ts';
import { isSending, messageTraces, namesIn, pathTo, talk } from './story.fixture.ts';
import { printTrace, traces } from './tree.ts';

/** A homeserver of nine processes, on a machine that has other things to do. */
const PATIENCE_MS = 300_000;

const TEXTS = Array.from({ length: 16 }, (_, at) => `message ${at}`);

let collector: Collector;
let home: Homeserver;
let message: readonly ExportedSpan[];

beforeAll(async () => {
  collector = await Collector.open();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: '100' };
  home = await Homeserver.open({
    env,
    edgeEnv: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint },
  });
  await talk(home, 'far', TEXTS);
  await home.stop();
  await home.edge.stop();
  message = messageTraces(collector.spans)[0] ?? [];
}, PATIENCE_MS);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

test('one message is one trace over all services, in the order in which it went', () => {
  const tree = printTrace(message);
  process.stdout.write(`${tree}\n`);
  writeFileSync(join(home.logs, 'one-message.trace'), `${tree}\n`);
  expect(new Set(message.map(({ service }) => service))).toEqual(
    new Set(['roost-edge', 'roost-aas', 'roost-ds', 'roost-qs']),
  );
  const way = pathTo(message, 'qs push');
  expect(way.slice(way.findIndex(isSending))).toEqual([
    expect.stringMatching(/SendMessage$/),
    ...['ds accept', 'ds dispatch', 'bus request', 'bus serve', 'qs store', 'qs push'],
  ]);
  expect(pathTo(message, 'aas check')).toContain('envoy.service.auth.v3.Authorization/Check');
  const root = message.filter(({ parentId }) => parentId === '');
  expect(root.map(({ service }) => service)).toEqual(['roost-edge']);
});

test('whoever listens at another replica than the one that stored it is shown too', () => {
  const pushed = messageTraces(collector.spans).flatMap((trace) => {
    const [stored, push] = ['qs store', 'qs push'].map((name) =>
      trace.find((span) => span.name === name),
    );
    return push === undefined ? [] : [{ here: stored?.instance === push.instance }];
  });
  expect(pushed.length).toBeGreaterThanOrEqual(TEXTS.length);
  // Which replica stores is drawn for each: that none of so many crosses does not happen.
  expect(pushed.map(({ here }) => here)).toContain(false);
});

test('each message has a trace of its own, and no trace joins names with queues', () => {
  for (const trace of traces(collector.spans)) {
    expect(namesIn(trace).filter((name) => name === 'ds accept').length).toBeLessThan(2);
    const services = new Set(trace.map(({ service }) => service));
    expect(services.has('roost-as') && services.has('roost-qs')).toBe(false);
  }
});
