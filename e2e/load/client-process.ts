import { sleep } from '@roost/core/time';
import { ListenResponse } from '@roost/proto/roost/queue/v1/queue';
import type { Outgoing } from '@roost/rpc/call';
import { connectTo, type Door } from '@roost/e2e/door';
import type { Channel } from '@roost/rpc/client';
import type { Arrivals, Called, Task } from './clients.ts';
import { callAll } from './outgoing.ts';

/** The clients of a measurement, over real gRPC: they do what they are told and note when. */
let door: Door = { address: '' };
let calls: readonly Outgoing[] = [];
let arrived: { times: bigint[]; streams: number[] } = { times: [], streams: [] };
/** The first byte of a run that holds messages (proto/README.md, "Queue"). */
const BATCH = 2;
/** Kept: a channel that nobody holds would be closed. */
const channels: Channel[] = [];

/** Streams that were opened before: those of the next list are numbered on. */
let listened = 0;

const OPENED_AT_ONCE = 100;
const POLL_MS = 2;

async function perform(task: Task): Promise<object> {
  if (task.do === 'prepare') {
    ({ door, calls } = task);
    return {};
  }
  if (task.do === 'call') return await call(task.inFlight, task.pauseMs);
  if (task.do === 'pace') return await pace(task.perSecond);
  if (task.do === 'listen') return await listen(task.perConnection);
  if (task.do === 'await') {
    while (arrived.times.length < task.count) await sleep(POLL_MS);
    arrived = { times: [], streams: [] };
    return {};
  }
  const told: Arrivals = arrived;
  arrived = { times: [], streams: [] };
  return told;
}

async function call(inFlight: number, pauseMs: number): Promise<Called> {
  using channel = connectTo(door);
  const times: [bigint, bigint][] = [];
  const before = process.cpuUsage();
  await callAll(calls, inFlight, async (each, at) => {
    if (pauseMs > 0) await sleep(pauseMs);
    const began = process.hrtime.bigint();
    await channel.unary(each);
    times[at] = [began, process.hrtime.bigint()];
  });
  const { user, system } = process.cpuUsage(before);
  return { times, cpuSeconds: (user + system) / 1e6 };
}

async function pace(perSecond: number): Promise<Called> {
  using channel = connectTo(door);
  const times: [bigint, bigint][] = [];
  const before = process.cpuUsage();
  const startedMs = performance.now();
  const open = calls.map(async (each, at) => {
    await sleep(Math.max(0, startedMs + (at * 1_000) / perSecond - performance.now()));
    const began = process.hrtime.bigint();
    await channel.unary(each);
    times[at] = [began, process.hrtime.bigint()];
  });
  await Promise.all(open);
  const { user, system } = process.cpuUsage(before);
  return { times, cpuSeconds: (user + system) / 1e6 };
}

async function listen(perConnection: number): Promise<object> {
  const opened: Promise<void>[] = [];
  for (const [at, each] of calls.entries()) {
    if (at % perConnection === 0) channels.push(connectTo(door));
    const channel = channels.at(-1);
    if (channel !== undefined) opened.push(follow(channel, each, listened + at));
    // Not all at the same instant: nobody's devices do.
    if (opened.length === OPENED_AT_ONCE) await Promise.all(opened.splice(0));
  }
  await Promise.all(opened);
  listened += calls.length;
  return {};
}

/** Resolves with the first message: the secret that every queue begins with. */
async function follow(channel: Channel, outgoing: Outgoing, at: number): Promise<void> {
  const messages = channel.stream(outgoing)[Symbol.asyncIterator]();
  const first = await messages.next();
  if (first.done === true) throw new Error('a stream ended at once');
  void (async () => {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      const now = process.hrtime.bigint();
      for (const { ciphertext, count } of ListenResponse.decode(next.value).runs) {
        // A fresh secret of the ratchet comes now and then; it is no message.
        if (ciphertext[0] !== BATCH) continue;
        for (let each = 0; each < count; each++) {
          arrived.times.push(now);
          arrived.streams.push(at);
        }
      }
    }
  })().catch((error: unknown) => {
    process.stderr.write(`a listener ended: ${String(error)}\n`);
  });
}

function answer(message: object): void {
  process.send?.(message);
}

process.on('message', (task: Task) => {
  perform(task).then(answer, (error: unknown) => answer({ error: String(error) }));
});
process.on('disconnect', () => process.exit());
