import { expect, test } from '@jest/globals';
import { admit, cutRuns, type QueueHead } from './queue.ts';

const limits = { queueCountMax: 4, queueBytesMax: 100, welcomeHeadroom: 2 };
const empty: QueueHead = { next: 1n, acknowledged: 1n, storedBytes: 0, isGapMarked: false };
const event = { bytes: 10, isWelcome: false };
const welcome = { bytes: 10, isWelcome: true };
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

test('an open queue takes everything in order', () => {
  expect(admit(empty, [event, welcome, event], limits)).toEqual({
    kept: [event, welcome, event],
    lost: 0,
    isGapMarked: false,
  });
});

test('at its cap it takes one gap marker that counts what this batch lost', () => {
  const { kept, lost, isGapMarked } = admit(empty, times(7, event), limits);
  expect(kept).toEqual([...times(4, event), 3]);
  expect({ lost, isGapMarked }).toEqual({ lost: 3, isGapMarked: true });
});

test('a full queue that has its marker takes nothing more', () => {
  const full = { next: 6n, acknowledged: 1n, storedBytes: 50, isGapMarked: true };
  expect(admit(full, [event, event], limits)).toEqual({ kept: [], lost: 2, isGapMarked: true });
});

test('Welcomes have headroom, and it ends', () => {
  const full = { next: 5n, acknowledged: 1n, storedBytes: 40, isGapMarked: false };
  const { kept, lost } = admit(full, [welcome, event, welcome, welcome], limits);
  expect(kept).toEqual([welcome, 3]);
  expect(lost).toBe(3);
});

test('acknowledged below its cap it takes events again, and a marker of its own when it fills anew', () => {
  const read = { next: 6n, acknowledged: 4n, storedBytes: 20, isGapMarked: true };
  const { kept, isGapMarked } = admit(read, times(3, event), limits);
  expect(kept).toEqual([event, event, 1]);
  expect(isGapMarked).toBe(true);
});

test('bytes fill it too', () => {
  const { kept } = admit({ ...empty, storedBytes: 99 }, [event, event], limits);
  expect(kept).toEqual([event, 1]);
});

test('a queue read further than it was written stops us', () => {
  expect(() => admit({ ...empty, acknowledged: 2n }, [event], limits)).toThrow('invariant broken');
});

test('runs are cut by count and by bytes, and a large message has one of its own', () => {
  const large = { bytes: 25 };
  const small = { bytes: 10 };
  const sizes = { itemsMax: 3, bytesMax: 20 };
  expect(cutRuns([small, small, small, large, small], sizes)).toEqual([
    [small, small],
    [small],
    [large],
    [small],
  ]);
  expect(cutRuns(times(7, { bytes: 1 }), sizes).map((run) => run.length)).toEqual([3, 3, 1]);
  expect(cutRuns([], sizes)).toEqual([]);
});
