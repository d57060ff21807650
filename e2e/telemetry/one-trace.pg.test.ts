// One message can be followed from the door of the homeserver to whoever listens: through the token gate, the
// DS, its outbox, the bus and the QS. Here in one process; `distributed.servers.test.ts` has separate ones.
import { afterAll, beforeAll, test } from '@jest/globals';
import { dump } from '@roost/e2e/dump';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { AllInOne } from '@roost/e2e/all-in-one';
import { createLog } from '@roost/service/log';
import { startTelemetry } from '@roost/service/telemetry';
import { Collector } from './collector.ts';
import type { ExportedSpan } from './otlp.ts';
import { printTrace, traces } from './tree.ts';

let collector: Collector;
let spans: readonly ExportedSpan[];
let sent: readonly ExportedSpan[];
let log = '';
let tables = '';

beforeAll(async () => {
  collector = await Collector.open();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.endpoint;
  const destination = { write: (line: string) => void (log += line) };
  const logger = createLog('home', 'debug', { readable: false, destination });
  {
    await using _ = startTelemetry('homeserver', process.env, logger);
    await using world = await AllInOne.open({ log: logger });
    await using alice = await Witness.come(world.door, 'trace-alice');
    await using bob = await Witness.come(world.door, 'trace-bob');
    const dm = await connectTwo(alice, bob);
    for (const text of ['one', 'two', 'three']) {
      await (
        await alice.client.send(dm, text)
      ).sent;
      await bob.hears(text);
    }
    for (const database of Object.values(world.databases)) {
      tables += [...(await dump(database)).values()].flat().join('\n');
    }
  }
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  spans = collector.spans;
  const sending = traces(spans).filter((trace) =>
    trace.some(({ name }) => name.endsWith('/SendMessage')),
  );
  sent = sending.find((trace) => trace.some(({ name }) => name === 'qs push')) ?? [];
});
afterAll(async () => {
  await collector[Symbol.asyncDispose]();
});

test('one message is one trace', () => {
  process.stdout.write(`${printTrace(sent)}\n`);
});
