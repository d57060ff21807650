import { fork } from 'node:child_process';
import { once } from 'node:events';
import { encodeBusBatch, PARTITIONS, sealFanOut } from '@roost/bus/frames';
import { Nats } from '@roost/bus/nats';
import { NatsBus } from '@roost/bus/nats-bus';
import { assert } from '@roost/core/assert';
import { nodeCrypto as crypto } from '@roost/crypto/node';
import { GroupId, uuidOf } from '@roost/core/ids';
import type { Outgoing } from '@roost/rpc/call';
import type { Ground } from '@roost/e2e/servers/ground';
import { startClients } from '../clients.ts';
import { domain } from '../house.ts';
import { percentile, processCpu, round, type Row } from '../measure.ts';
import { callAll } from '../outgoing.ts';
import { openBareEnvoy } from './bare-envoy.ts';
import type { EchoAnswer, EchoTask } from './echo-process.ts';
import type { DistributedBench } from './stage.ts';

const COUNT = 4_000;
const COUNT_QUICK = 800;
const ALONE = 200;
const ALONE_QUICK = 50;
const WARM = 200;
const IN_FLIGHT = 64;
/** As large as a send between two. */
const REQUEST_BYTES = 900;
const EVENT_BYTES = 512;
const RECIPIENTS = 10;

/** What nobody can do without: Envoy with TLS before an echo, and NATS with an echo behind it. */
export async function measureBare(bench: DistributedBench, ground: Ground): Promise<Row[]> {
  const natsOf = (user: string) => ({
    ...{ servers: ground.nats.servers, user, password: ground.nats.passwords[user] },
    ...{ prefix: 'bare', service: user, payloadBytesMax: 1 << 20 },
  });
  await using echo = await startEcho({ nats: natsOf('qs') });
  const count = bench.quick ? COUNT_QUICK : COUNT;
  const alone = bench.quick ? ALONE_QUICK : ALONE;
  bench.progress('bare Envoy');
  const rows = [await measureEnvoy(echo, count, alone)];
  bench.progress('bare NATS');
  await using nats = new Nats(natsOf('ds'));
  rows.push(await measureNats(new NatsBus(nats, new Uint8Array(32)), ground, count, alone));
  return rows;
}

async function measureEnvoy(echo: Echo, count: number, alone: number): Promise<Row> {
  await using envoy = await openBareEnvoy(echo.port);
  await using clients = startClients();
  const call: Outgoing = {
    ...{ path: '/bare.Echo/Echo', request: crypto.random(REQUEST_BYTES) },
    ...{ proof: undefined, authorization: undefined, deadlineMs: undefined, signal: undefined },
  };
  const make = async (some: number, inFlight: number) => {
    const calls = Array.from({ length: some }, () => call);
    await clients.ask({ do: 'prepare', door: envoy.door, calls });
    return await clients.call(inFlight);
  };
  await make(WARM, IN_FLIGHT);
  const began = performance.now();
  const before = [processCpu(envoy.pid), processCpu(echo.pid)];
  await make(count, IN_FLIGHT);
  const seconds = (performance.now() - began) / 1_000;
  const [edge, server] = [processCpu(envoy.pid), processCpu(echo.pid)].map(
    (after, at) => ((after - (before[at] ?? 0)) / count) * 1e6,
  );
  const { times } = await make(alone, 1);
  return {
    what: 'bare echo through an Envoy with TLS',
    figure:
      `${round(count / seconds)}/s, ${round(edge ?? 0)} us CPU of Envoy and ${round(server ?? 0)} of the echo in Node each; ` +
      `alone ${show(times.map(([from, to]) => Number(to - from) / 1e6))}`,
  };
}

async function measureNats(
  bus: NatsBus,
  ground: Ground,
  count: number,
  alone: number,
): Promise<Row> {
  const bytes = batch();
  const ask = async (): Promise<void> => {
    await bus.request(0, bytes, { timeoutMs: 5_000 });
  };
  // The other side subscribes when it can.
  for (const end = Date.now() + 5_000; ;) {
    const failed = await ask().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failed === undefined) break;
    if (Date.now() > end) throw failed;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const all = Array.from({ length: count }, (_, at) => at);
  const natsCpu = (): number => ground.nats.pids.reduce((sum, pid) => sum + processCpu(pid), 0);
  const [began, cpu] = [performance.now(), natsCpu()];
  // One of each partition under way, as dispatchers have it.
  await callAll(all, PARTITIONS, ask);
  const seconds = (performance.now() - began) / 1_000;
  const spent = ((natsCpu() - cpu) / count) * 1e6;
  const took: number[] = [];
  for (let at = 0; at < alone; at++) {
    const before = performance.now();
    await ask();
    took.push(performance.now() - before);
  }
  return {
    what: `bare request and reply over NATS, ${bytes.length} bytes`,
    figure: `${round(count / seconds)}/s, ${round(spent)} us CPU of NATS each; alone ${show(took)}`,
  };
}

/** As large as what carries one message of a group of ten. */
function batch(): Uint8Array {
  const groupId = GroupId.of(uuidOf(crypto.random(16)), domain);
  const place = {
    ...{ groupId, number: { incarnation: 1, n: 1n }, prev: { incarnation: 0, n: 0n } },
  };
  const recipients = Array.from({ length: RECIPIENTS - 1 }, () => ({
    ...{ handle: crypto.random(32), pushKey: crypto.random(32), extra: new Uint8Array(0) },
  }));
  const fanOut = { recipients, groupEvent: crypto.random(EVENT_BYTES) };
  const sealed = sealFanOut(crypto, crypto.random(32), place, fanOut);
  return encodeBusBatch({ source: domain, events: [{ kind: 'event', ...place, sealed }] });
}

interface Echo extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

async function startEcho(task: EchoTask): Promise<Echo> {
  const child = fork(new URL('./echo-process.ts', import.meta.url), {
    serialization: 'advanced',
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const ended = once(child, 'exit');
  child.send(task);
  const [answer] = (await once(child, 'message')) as [EchoAnswer];
  assert(answer.port > 0, 'the echo listens');
  return {
    ...{ port: answer.port, pid: child.pid ?? 0 },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function show(ms: readonly number[]): string {
  return `${round(percentile(ms, 50))} ms (${round(percentile(ms, 99))} ms)`;
}
