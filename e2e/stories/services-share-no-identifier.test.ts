// Invariant 8: no DS table or log holds a user id, an AS client id or a QS id; no QS table or log
// holds a user id or a group id; nothing joins two services' dumps. Everything that the clients of a
// story know is looked for in everything that the services keep, log, count and trace, in every form.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CutBus } from '@roost/e2e/cut-bus';
import { dump, printed } from '@roost/e2e/dump';
import { allThatIsKnown, formsOf, type Kind, KINDS, kindsIn, type Known } from '@roost/e2e/known';
import { tell } from '@roost/e2e/story';
import { connectTwo, Witness } from '@roost/e2e/witness';
import { AllInOne } from '@roost/e2e/all-in-one';
import { createLog } from '@roost/service/log';
import { startMetrics } from '@roost/service/metrics';
import { startTelemetry } from '@roost/service/telemetry';
import { Collector } from '../telemetry/collector.ts';

const SERVICES = ['as', 'aas', 'qs', 'ds'] as const;
type Service = (typeof SERVICES)[number];

const bus = new CutBus();
let log = '';
let page = '';
let collector: Collector;
let world: AllInOne;
let known: Known;
const beganAtMs = Date.now();
const dumps: Partial<Record<Service, string>> = {};

beforeAll(async () => {
  const destination = { write: (line: string) => void (log += line) };
  const logger = createLog('home', 'debug', { readable: false, destination });
  collector = await Collector.open();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.endpoint;
  await using metrics = startMetrics({ service: 'homeserver', version: '0' });
  await using _ = await startTelemetry('homeserver', process.env, logger);
  world = await AllInOne.open({ bus, log: logger });
  const { people, group, dm } = await tell(world, 'nemo');
  const [owner, stays] = people;
  {
    // One that is asked to connect while nobody reads its queue.
    await using away = await Witness.come(world.door, 'nemo-away');
    await connectTwo(away, stays);
  }
  await owner.client.connect('nemo-away');
  bus.isCut = true;
  await (
    await owner.client.send(group, 'nemo: lies in the outbox')
  ).sent;
  await (
    await stays.client.send(dm, 'nemo: lies there too')
  ).sent;
  await owner.client.setTitle(group, 'nemo: changed meanwhile');
  await Promise.allSettled([
    owner.client.connect('nemo-nobody'),
    stays.client.connect('nemo-olga'),
  ]);
  known = await allThatIsKnown(people, '127.0.0.1');
  page = await metrics.page();
  for (const service of SERVICES) dumps[service] = await printed(world.databases[service]);
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  await world.stop();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

test('the story gave something of each kind to look for, and left something undelivered', () => {
  expect(KINDS.filter((kind) => known[kind].size === 0)).toEqual([]);
  expect(/^outbox\n\(/m.test(dumps.ds ?? '')).toBe(true);
  expect(/^direct_messages\n\(/m.test(dumps.as ?? '')).toBe(true);
  expect(log.split('\n').length).toBeGreaterThan(5);
  expect(formsOf('00112233-4455-6677-8899-aabbccddeeff')).toContain('ABEiM0RVZneImaq7zN3u_');
});

test.each<[Service, Kind[]]>([
  ['as', ['user id', 'client id', 'name', 'client key']],
  ['aas', ['access token']],
  // A KeyPackage holds its leaf key and its handle for whoever claims it; the QS made neither known.
  ['qs', ['QS id', 'QS key', 'leaf key', 'handle', 'push key']],
  ['ds', ['group id']],
])('the tables of the %s hold only %j of what clients know', (service, kinds) => {
  expect(kindsIn(known, dumps[service] ?? '')).toEqual(kinds);
});

test('the log holds nothing of what clients know', () => {
  expect(kindsIn(known, log)).toEqual([]);
});

test('neither do the numbers, nor the traces', () => {
  expect(page).toMatch(/^roost_ds_outbox_rows [1-9]/m);
  expect(kindsIn(known, page)).toEqual([]);
  expect(collector.spans.length).toBeGreaterThan(100);
  const exported = collector.raw.map(
    (bytes) => `${bytes.toString('latin1')} ${bytes.toString('hex')}`,
  );
  expect(kindsIn(known, exported.join('\n'))).toEqual([]);
});

test('no id of a trace or of a span lies in a table', () => {
  const ids = collector.spans.flatMap(({ traceId, spanId }) => [traceId, spanId]);
  const tables = Object.values(dumps).join('\n');
  expect([...new Set(ids)].filter((id) => tables.includes(id))).toEqual([]);
});

test('the tables of the DS tell no time but days and months, when it was migrated and who carries now', async () => {
  const columns = await world.databases.ds.query<{ type: string }>({
    text: `SELECT DISTINCT data_type AS type FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name NOT IN ('migrations', 'dispatchers', 'leases')`,
  });
  expect(columns.filter(({ type }) => /time|date|interval|json/.test(type))).toEqual([]);
  const tables = await dump(world.databases.ds);
  const rows = [...tables]
    .flatMap(([name, each]) => (name === 'migrations' ? [] : each))
    .join('\n');
  const now = Date.now();
  // Seconds, milliseconds and microseconds since 1970 in a column.
  const near = [...rows.matchAll(/(?<![0-9a-f\\x])\d{9,}(?![0-9a-f])/g)].filter(([digits]) =>
    [1, 1_000, 1_000_000].some((unit) => Math.abs(Number(digits) / unit - now / 1_000) < YEAR_S),
  );
  expect(near).toEqual([]);
  // Milliseconds as eight bytes inside of others, from the beginning of the story to now.
  const [first, last] = [beganAtMs, now].map((ms) => Math.floor(ms / FINE_MS));
  const prefixes = Array.from({ length: (last ?? 0) - (first ?? 0) + 1 }, (_, at) =>
    ((first ?? 0) + at).toString(16).padStart(12, '0'),
  );
  expect(prefixes.filter((prefix) => rows.includes(prefix))).toEqual([]);
});

const YEAR_S = 365 * 24 * 60 * 60;
/** The last two bytes of eight are left out. */
const FINE_MS = 2 ** 16;

test('no value lies in the tables of two services', () => {
  const joins: string[] = [];
  for (const one of SERVICES) {
    for (const value of valuesIn(dumps[one] ?? '')) {
      for (const other of SERVICES) {
        if (other !== one && (dumps[other] ?? '').includes(value)) {
          joins.push(`${one} and ${other}: ${value}`);
        }
      }
    }
  }
  expect(joins).toEqual([]);
});

/** Ids, and everything of eight bytes or more, as it is printed; also an id without its dashes. */
function valuesIn(text: string): Set<string> {
  const uuids = text.match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [];
  const bytes = [...text.matchAll(/\\x([0-9a-f]{16,})/g)].map(([, hex = '']) => hex);
  const words = text.match(/[a-z][a-z0-9._-]{7,}/g) ?? [];
  const plain = words.filter((word) => !SHARED.has(word) && !/^[0-9a-f]+$/.test(word));
  const values = [...uuids, ...uuids.map((uuid) => uuid.replaceAll('-', '')), ...bytes, ...plain];
  return new Set(values);
}

/** What all services call alike and may: tables, and the homeserver's own domain. */
const SHARED = new Set<string>(['home.example', 'migrations', 'incarnations']);
