// Invariant 8 over separate services: everything that the clients of a story know is looked for, in every form, in
// all that any process keeps or says: databases, Valkey, logs at their finest (our services', Envoy's with its
// access log, PostgreSQL's, NATS's, Valkey's), numbers, and exported traces. Service by service: what only the AS
// may know is not at the QS.
import { globSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { printed } from '@roost/e2e/dump';
import { allThatIsKnown, type Kind, KINDS, kindsIn, type Known } from '@roost/e2e/known';
import { Homeserver } from '@roost/e2e/servers/homeserver';
import { Run } from '@roost/e2e/servers/run';
import { tell } from '@roost/e2e/story';
import { Collector } from './collector.ts';
import { Detour } from './detour.ts';

/** Where clients call from; all else on this machine is at 127.0.0.1. */
const ADDRESS = '127.0.0.77';
const SERVICES = ['as', 'aas', 'qs', 'ds'] as const;

/** A homeserver of nine processes, on a machine that has other things to do. */
const PATIENCE_MS = 300_000;

let collector: Collector;
let home: Homeserver;
let known: Known;
let valkey = '';
const dumps = new Map<string, string>();
const logs = new Map<string, string>();
const pages = new Map<string, string>();

beforeAll(async () => {
  collector = await Collector.open();
  const traced = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
    OTEL_BSP_SCHEDULE_DELAY: '200',
  };
  home = await Homeserver.open({
    env: { ...traced, ROOST_LOG_LEVEL: 'debug' },
    edgeEnv: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint },
  });
  using monitor = listenTo(home.ground.redis);
  await using detour = await Detour.open(home.door, ADDRESS);
  const { people, group, dm } = await tell({ door: detour.door }, 'hush');
  const [owner, stays] = people;
  // What is sent now lies in the outbox.
  await Promise.all(home.of('qs').map((process) => process.kill()));
  await (
    await owner.client.send(group, 'hush: lies in the outbox')
  ).sent;
  await (
    await stays.client.send(dm, 'hush: lies there too')
  ).sent;
  await Promise.allSettled([
    owner.client.connect('hush-nobody'),
    owner.client.connect('hush-stan'),
  ]);
  known = await allThatIsKnown(people, ADDRESS);
  for (const service of SERVICES) dumps.set(service, await printed(home.databases[service]));
  for (const [name, process] of home.processes) {
    if (process.isRunning) pages.set(name, (await process.ask('/metrics')).body);
  }
  const edge = await fetch(`http://${home.edge.healthAddress}/metrics`);
  pages.set('edge', await edge.text());
  valkey = monitor.said();
  await Promise.all(people.map((person) => person[Symbol.asyncDispose]()));
  await home.stop();
  await home.edge.stop();
  for (const file of globSync('**/*.log', { cwd: Run.current().folder })) {
    const name = basename(file, '.log');
    const said = saidIn(join(Run.current().folder, file));
    logs.set(name, `${logs.get(name) ?? ''}${said}`);
  }
}, PATIENCE_MS);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

/** What a log says. Those of other tests of this run go with these tests; ours are all there. */
function saidIn(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (path.startsWith(home.logs)) throw error;
    return '';
  }
}

/** Writes down every command that Valkey is given, keys and values. */
function listenTo(url: string): Disposable & { said(): string } {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
  socket.write('MONITOR\r\n');
  return { said: () => said, [Symbol.dispose]: () => socket.destroy() };
}

test('the story gave something of each kind to look for, and everybody has said something', () => {
  expect(KINDS.filter((kind) => known[kind].size === 0)).toEqual([]);
  expect(/^outbox\n\(/m.test(dumps.get('ds') ?? '')).toBe(true);
  const sources = SERVICES.flatMap((service) => [`${service}-1`, `${service}-2`]);
  for (const name of [...sources, 'edge'])
    expect([name, logs.get(name)?.length]).not.toEqual([name, 0]);
  expect([...logs.keys()].join(' ')).toMatch(/nats.*|postgres.*|valkey.*/);
  expect(logs.get('edge')).toContain('DeliveryService/SendMessage');
  expect(valkey.split('\n').length).toBeGreaterThan(5);
  expect(pages.get('edge')).toMatch(/^envoy_/m);
});

test.each<[(typeof SERVICES)[number], Kind[]]>([
  ['as', ['user id', 'client id', 'name', 'client key']],
  ['aas', ['access token']],
  ['qs', ['QS id', 'QS key', 'leaf key', 'handle', 'push key']],
  ['ds', ['group id']],
])('the tables of the %s hold only %j of what clients know', (service, kinds) => {
  expect(kindsIn(known, dumps.get(service) ?? '')).toEqual(kinds);
});

test('no command that Valkey was given holds anything of what clients know', () => {
  expect(kindsIn(known, valkey)).toEqual([]);
});

/** What a role is called is a word that others use too: `admin`. */
function isTelling(kind: Kind): boolean {
  return kind !== 'role';
}

test('no log of any process holds anything of what clients know', () => {
  const found = [...logs].map(([name, said]) => [name, kindsIn(known, said).filter(isTelling)]);
  expect(found.filter(([, kinds]) => kinds?.length !== 0)).toEqual([]);
});

test('no number of any process does', () => {
  expect(pages.size).toBe(SERVICES.length * 2 - 2 + 1);
  const found = [...pages].map(([name, page]) => [name, kindsIn(known, page).filter(isTelling)]);
  expect(found.filter(([, kinds]) => kinds?.length !== 0)).toEqual([]);
});

test('each process tells numbers of its own, and the replicas share what there is', () => {
  for (const [name, page] of pages) {
    if (name === 'edge') continue;
    expect(page).toContain(`roost_build_info{service="${name.replace(/-.*/, '')}"`);
    expect(page).toMatch(
      /^roost_certificate_expiry_timestamp_seconds\{certificate="server"\} 1\d{9}$/m,
    );
    expect(page).not.toContain('gauges that failed');
  }
  const held = ['ds-1', 'ds-2'].map((name) =>
    /^roost_ds_partitions (\d+)$/m.exec(pages.get(name) ?? ''),
  );
  expect(held.reduce((sum, found) => sum + Number(found?.[1]), 0)).toBe(16);
});

test('no exported trace does', () => {
  expect(new Set(collector.spans.map(({ service }) => service))).toEqual(
    new Set(['roost-edge', ...SERVICES.map((service) => `roost-${service}`)]),
  );
  const exported = collector.raw.map(
    (bytes) => `${bytes.toString('latin1')} ${bytes.toString('hex')}`,
  );
  expect(kindsIn(known, exported.join('\n')).filter(isTelling)).toEqual([]);
});

test('no id of a trace or of a span lies in a table', () => {
  const ids = new Set(collector.spans.flatMap(({ traceId, spanId }) => [traceId, spanId]));
  const tables = [...dumps.values()].join('\n');
  expect([...ids].filter((id) => tables.includes(id))).toEqual([]);
});
