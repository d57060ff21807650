import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { Failure, type Reason } from '@roost/core/failure';
import { sleep } from '@roost/core/time';
import { nodeCrypto } from '@roost/crypto/node';
import { Lanes, type Outcome, type Refusal } from './lanes.ts';
import { Ledger } from './ledger.ts';
import { NodeStore } from './node/store.ts';
import { counters } from './state.ts';
import { type Task, tasks } from './task.ts';

const folder = mkdtempSync(join(tmpdir(), 'roost-lanes-'));
afterAll(() => rmSync(folder, { recursive: true }));

let stores = 0;

/** Lanes whose tasks do what `steps` say, one step a try; a task without a step is done. */
async function lanesOf(...steps: (Reason | Outcome | 'bug' | (() => Outcome))[]) {
  const store = NodeStore.open(join(folder, String(stores++)));
  const ledger = await Ledger.open(store, [tasks, counters]);
  const refusals: Refusal[] = [];
  const tried: string[] = [];
  const reports: unknown[] = [];
  const reachable: boolean[] = [];
  const peers: [lane: string, domain: string | undefined][] = [];
  const lanes: Lanes = new Lanes({
    ledger,
    crypto: { ...nodeCrypto, random: (size) => new Uint8Array(size) },
    async perform(lane, key) {
      tried.push(lane);
      const step = steps.shift();
      if (typeof step === 'function') return step();
      if (step === 'bug') throw new TypeError('a bug');
      if (typeof step === 'string' && step !== 'on' && step !== 'blocked') {
        throw new Failure(step, step, { retryAfterMs: 1, peer: 'b.example' });
      }
      if (step !== undefined) return step;
      await ledger.turn((turn) => lanes.finish(turn, key));
      return 'on';
    },
    async refused(refusal) {
      refusals.push(refusal);
      await ledger.turn((turn) => turn.delete(tasks, refusal.key));
    },
    reachable: (isReachable) => reachable.push(isReachable),
    peerAway: (lane, domain) => peers.push([lane, domain]),
    report: (error) => reports.push(error),
  });
  const submit = async (lane: string, task: Task = { kind: 'catch-up' }) => {
    return (await ledger.turn((turn) => lanes.submit(turn, lane, task))).done;
  };
  return { lanes, ledger, submit, tried, refusals, reports, reachable, peers };
}

test('a task is tried until it is done, and whoever asked for it hears so', async () => {
  const { submit, tried, ledger } = await lanesOf('on', 'UNAVAILABLE', 'on');
  await submit('a');
  expect(tried).toHaveLength(4);
  expect(ledger.list(tasks)).toEqual([]);
});

test('tasks of one lane are done in their order, and lanes beside each other', async () => {
  const { submit, tried, lanes } = await lanesOf('blocked');
  const waiting = submit('a');
  await submit('b');
  expect(tried).toEqual(['a', 'b']);
  lanes.wake('a');
  await waiting;
  expect(tried).toEqual(['a', 'b', 'a']);
});

test('a refusal ends the task, is told, and does not hold up the next', async () => {
  const { submit, refusals } = await lanesOf('NOT_ALLOWED');
  const first = submit('a');
  const second = submit('a');
  await expect(first).rejects.toThrow('NOT_ALLOWED');
  await second;
  expect(refusals.map(({ lane, isAwaited }) => [lane, isAwaited])).toEqual([['a', true]]);
});

test('a bug is reported and the task is kept', async () => {
  const { submit, reports } = await lanesOf('bug');
  await submit('a');
  expect(reports.map(String)).toEqual(['TypeError: a bug']);
});

test('whether the homeserver answers is told by every try', async () => {
  const { submit, reachable } = await lanesOf('UNAVAILABLE', 'RATE_LIMITED');
  await submit('a');
  expect(reachable.slice(0, 2)).toEqual([false, true]);
});

test('what a former process left is done after a start', async () => {
  const { ledger, lanes, tried } = await lanesOf();
  await ledger.turn((turn) => turn.put(tasks, 'a/000000000000', { kind: 'leave' }));
  lanes.start();
  for (let waited = 0; ledger.list(tasks).length > 0 && waited < 2_000; waited++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(tried).toEqual(['a']);
});

test('closing leaves what is not done for the next start', async () => {
  const { lanes, submit, ledger } = await lanesOf('blocked');
  const done = submit('a');
  await new Promise((resolve) => setTimeout(resolve, 10));
  await lanes.close();
  await expect(done).rejects.toThrow('the client closes');
  expect(ledger.list(tasks)).toHaveLength(1);
});

test('another homeserver that is away keeps its lane waiting, and ours is not taken for away', async () => {
  const scene = await lanesOf('PEER_UNAVAILABLE', 'PEER_UNAVAILABLE');
  const { submit, tried, lanes, reachable, peers } = scene;
  const waiting = submit('a');
  const other = submit('b');
  // Each waits for a second, or until something is heard of it.
  for (let waited = 0; tried.length < 2 && waited < 2_000; waited++) await sleep(5);
  expect(tried).toEqual(['a', 'b']);
  lanes.hurryFor('c.example');
  lanes.hurryFor('b.example');
  await Promise.all([waiting, other]);
  await lanes.close();
  expect(reachable).toEqual([true, true, true, true]);
  expect(peers).toEqual([
    ['a', 'b.example'],
    ['b', 'b.example'],
    ['a', undefined],
    ['b', undefined],
  ]);
});

test('what another homeserver does not tell is waited for without saying that it is away', async () => {
  const waitsFor = 'b.example';
  const scene = await lanesOf({ waitsFor }, { waitsFor }, { waitsFor });
  const { submit, tried, lanes, reachable, peers } = scene;
  const waiting = submit('a');
  const triedBy = async (count: number) => {
    for (let waited = 0; tried.length < count && waited < 2_000; waited++) await sleep(5);
    expect(tried).toHaveLength(count);
  };
  await triedBy(1);
  lanes.hurryOn('b');
  lanes.hurryOn('a');
  await triedBy(2);
  lanes.hurryFor('b.example');
  await triedBy(3);
  lanes.hurry();
  await waiting;
  await lanes.close();
  expect(reachable).toEqual([true, true, true, true]);
  expect(peers.filter(([, domain]) => domain !== undefined)).toEqual([]);
});

test('who hurries a lane while it tries is not forgotten: it tries once more', async () => {
  const hurried = (): Outcome => {
    scene.lanes.hurryOn('a');
    return { waitsFor: 'b.example' };
  };
  // Without that the last of these would come after half an hour.
  const scene = await lanesOf(...Array.from({ length: 12 }, () => hurried));
  await scene.submit('a');
  expect(scene.tried).toHaveLength(13);
  await scene.lanes.close();
});
