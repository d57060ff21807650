import { expect, test } from '@jest/globals';
import { continueTrace, traceparent } from '@roost/bus/trace';
import { sleep } from '@roost/core/time';
import { createLog } from '@roost/service/log';
import { startTelemetry } from '@roost/service/telemetry';
import { Failure } from '@roost/core/failure';
import { Batcher } from './batcher.ts';

const options = {
  lanes: 1,
  itemsMax: 4,
  bytesMax: 100,
  waitingMax: 20,
  sizeOf: (item: number) => item,
  onSplit: (): void => undefined,
};

test('what comes while the lane is busy goes together, in order and within the bounds', async () => {
  const batches: (readonly number[])[] = [];
  const batcher = new Batcher<number, number>(async (items) => {
    batches.push(items);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return items.map((item) => item * 2);
  }, options);
  const first = batcher.submit(1);
  await new Promise((resolve) => setImmediate(resolve));
  const others = [2, 3, 4, 5, 6, 90, 80].map(async (item) => await batcher.submit(item));
  expect(await Promise.all([first, ...others])).toEqual([2, 4, 6, 8, 10, 12, 180, 160]);
  expect(batches).toEqual([[1], [2, 3, 4, 5], [6, 90], [80]]);
});

test('where a batch fails, each is run again alone', async () => {
  const batches: (readonly number[])[] = [];
  const batcher = new Batcher<number, string>(async (items) => {
    batches.push(items);
    if (items.includes(2)) throw new Error('a statement failed');
    return items.map(() => 'done');
  }, options);
  const all = await Promise.allSettled([1, 2, 3].map(async (item) => await batcher.submit(item)));
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(batches).toEqual([[1, 2, 3], [1], [2], [3]]);
});

test('more than may wait is refused at the door', async () => {
  const batcher = new Batcher<number, number>(async (items) => items, options);
  const all = await Promise.allSettled(
    Array.from({ length: 30 }, async (_, at) => await batcher.submit(at)),
  );
  const refused = all.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(10);
  expect(refused[0]).toMatchObject({ reason: expect.any(Failure) });
});

test('a batch is shown in the trace of its first item, and not in that of the batch before it', async () => {
  const nowhere = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
  await using _ = await startTelemetry('ds', nowhere, createLog('ds', 'silent'));
  const shown: (string | undefined)[] = [];
  const run = async (items: readonly number[]): Promise<readonly number[]> => {
    shown.push(traceparent());
    await sleep(5);
    return items;
  };
  const batcher = new Batcher<number, number>(run, {
    ...{ lanes: 1, itemsMax: 2, bytesMax: 100, waitingMax: 10 },
    ...{ sizeOf: () => 1, onSplit: () => {} },
  });
  const header = (item: number): string => `00-${String(item).repeat(32)}-${'b'.repeat(16)}-01`;
  const submit = async (item: number) =>
    await continueTrace(header(item), () => batcher.submit(item));
  const first = submit(1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(await Promise.all([first, submit(2), submit(3), batcher.submit(4)])).toEqual([1, 2, 3, 4]);
  expect(shown).toEqual([header(1), header(2), undefined]);
});
