import { sleep } from '@roost/core/time';
import { ListenResponse } from '@roost/proto/roost/queue/v1/queue';
import type { Outgoing } from '@roost/rpc/call';
import { type Channel, connect } from '@roost/rpc/client';
import type { Arrivals, Called, Task } from './clients.ts';
import { callAll } from './outgoing.ts';

/** The clients of a measurement, over real gRPC: they do what they are told and note when. */
let address = '';
let calls: readonly Outgoing[] = [];
let arrived: bigint[] = [];
/** The first byte of a run that holds messages (proto/README.md, "Queue"). */
const BATCH = 2;
/** Kept: a channel that nobody holds would be closed. */
const channels: Channel[] = [];

const POLL_MS = 2;

async function perform(task: Task): Promise<object> {
  if (task.do === 'prepare') {
    ({ address, calls } = task);
    return {};
  }
  if (task.do === 'call') return await call(task.inFlight, task.pauseMs);
  if (task.do === 'listen') return await listen(task.perConnection);
  if (task.do === 'await') {
    while (arrived.length < task.count) await sleep(POLL_MS);
    arrived = [];
    return {};
  }
  const times = arrived;
  arrived = [];
  return { times } satisfies Arrivals;
}

async function call(inFlight: number, pauseMs: number): Promise<Called> {
  using channel = connect(address);
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

async function listen(perConnection: number): Promise<object> {
  const opened: Promise<void>[] = [];
  for (const [at, each] of calls.entries()) {
    if (at % perConnection === 0) channels.push(connect(address));
    const channel = channels.at(-1);
    if (channel !== undefined) opened.push(follow(channel, each));
    // Not all at the same instant: nobody's devices do.
    if (at % perConnection === perConnection - 1) await Promise.all(opened.splice(0));
  }
  await Promise.all(opened);
  return {};
}

/** Resolves with the first message: the secret that every queue begins with. */
async function follow(channel: Channel, outgoing: Outgoing): Promise<void> {
  const messages = channel.stream(outgoing)[Symbol.asyncIterator]();
  const first = await messages.next();
  if (first.done === true) throw new Error('a stream ended at once');
  void (async () => {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      const now = process.hrtime.bigint();
      for (const { ciphertext, count } of ListenResponse.decode(next.value).runs) {
        // A fresh secret of the ratchet comes now and then; it is no message.
        if (ciphertext[0] !== BATCH) continue;
        for (let each = 0; each < count; each++) arrived.push(now);
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
