// One message can be followed from the door of the homeserver to whoever listens: through the token gate, the
// DS, its outbox, the bus and the QS. Here in one process; `distributed.servers.test.ts` has separate ones.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AllInOne } from '@roost/e2e/all-in-one';
import { dump } from '@roost/e2e/dump';
import { createLog } from '@roost/service/log';
import { startTelemetry } from '@roost/service/telemetry';
import { Collector } from './collector.ts';
import type { ExportedSpan } from './otlp.ts';
import { isSending, messageTraces, namesIn, pathTo, talk } from './story.fixture.ts';
import { printTrace, traces } from './tree.ts';

const SEND = 'roost.delivery.v1.DeliveryService/SendMessage';

let collector: Collector;
let message: readonly ExportedSpan[];
let log = '';
let tables = '';

beforeAll(async () => {
  collector = await Collector.open();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.endpoint;
  const destination = { write: (line: string) => void (log += line) };
  const logger = createLog('home', 'debug', { readable: false, destination });
  {
    await using _ = await startTelemetry('homeserver', process.env, logger);
    await using world = await AllInOne.open({ log: logger });
    await talk(world, 'trace', ['one', 'two', 'three']);
    for (const database of Object.values(world.databases)) {
      tables += [...(await dump(database)).values()].flat().join('\n');
    }
  }
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  message = messageTraces(collector.spans)[0] ?? [];
});
afterAll(async () => {
  await collector[Symbol.asyncDispose]();
});

test('one message is one trace, from the door to the listener', () => {
  process.stdout.write(`${printTrace(message)}\n`);
  expect(pathTo(message, 'qs push')).toEqual([
    ...[SEND, 'ds accept', 'ds dispatch', 'bus request', 'bus serve', 'qs store', 'qs push'],
  ]);
  expect(pathTo(message, 'aas check')).toEqual([
    ...[SEND, 'roost.tokens.v1.TokenInternalService/CheckToken', 'aas check'],
  ]);
  expect(namesIn(message)).toContain('aas_insert_spent_1');
  expect(message.filter(({ name }) => name === 'transaction').length).toBeGreaterThanOrEqual(2);
});

test('each message has a trace of its own, and none leads to another', () => {
  const sent = messageTraces(collector.spans);
  expect(sent.length).toBeGreaterThanOrEqual(3);
  for (const trace of sent) expect(namesIn(trace).filter(isSending)).toHaveLength(1);
  expect(collector.spans.filter(({ links }) => links > 0)).toEqual([]);
});

test('what a listener hears lies in the traces of those who spoke, not in one of its own', () => {
  const listening = traces(collector.spans).filter((trace) =>
    namesIn(trace).some((name) => name.endsWith('QueueService/Listen')),
  );
  expect(listening.length).toBeGreaterThan(0);
  for (const trace of listening) expect(namesIn(trace)).not.toContain('qs push');
});

test('no trace joins the service that knows names with the one that knows queues', () => {
  const both = traces(collector.spans).filter((trace) => {
    const names = namesIn(trace).join(' ');
    return /AuthenticationService|\bas_/.test(names) && /QueueService|\bqs[_ ]/.test(names);
  });
  expect(both.map(namesIn)).toEqual([]);
});

test('lines of the log name their trace, and no table does', () => {
  const ids = [...new Set(collector.spans.map(({ traceId }) => traceId))];
  const inLog = [...log.matchAll(/"traceId":"([0-9a-f]{32})"/g)].map(([, id]) => id);
  expect(inLog.length).toBeGreaterThan(0);
  expect(inLog.every((id) => ids.includes(id ?? ''))).toBe(true);
  expect(ids.filter((id) => tables.includes(id))).toEqual([]);
  const spanIds = collector.spans.map(({ spanId }) => spanId);
  expect(spanIds.filter((id) => tables.includes(id))).toEqual([]);
});
