import { assert } from '@roost/core/assert';

/** What a queue must know of itself to take more. */
export interface QueueHead {
  /** The sequence that is given out next. */
  readonly next: bigint;
  /** Below it, the reader has taken everything. */
  readonly acknowledged: bigint;
  readonly storedBytes: number;
  /** Since it became full, one gap marker was put in. */
  readonly isGapMarked: boolean;
}

export interface QueueLimits {
  readonly queueCountMax: number;
  readonly queueBytesMax: number;
  readonly welcomeHeadroom: number;
}

export interface Arrival {
  readonly bytes: number;
  readonly isWelcome: boolean;
}

export interface Admission<T extends Arrival> {
  /** In order; a number stands for a gap marker: so many events were lost. */
  readonly kept: readonly (T | number)[];
  readonly lost: number;
  readonly isGapMarked: boolean;
}

/** What a gap marker counts for. */
const GAP_BYTES = 64;

/**
 * Decides what a queue takes. A full one takes one gap marker, where the first event is lost, and then
 * only Welcomes within their headroom, until it is acknowledged below its cap. Whatever is lost counts
 * as stored: the client repairs by the groups' logs.
 */
export function admit<T extends Arrival>(
  head: QueueHead,
  arrivals: readonly T[],
  limits: QueueLimits,
): Admission<T> {
  assert(head.acknowledged <= head.next, 'nobody takes what was never given');
  const kept: (T | number)[] = [];
  let count = Number(head.next - head.acknowledged);
  let bytes = head.storedBytes;
  let lost = 0;
  let gapAt: number | undefined;
  const isFull = (headroom: number): boolean =>
    count >= limits.queueCountMax + headroom ||
    bytes >= limits.queueBytesMax * (1 + headroom / limits.queueCountMax);
  let isGapMarked = head.isGapMarked && isFull(0);

  for (const arrival of arrivals) {
    if (!isFull(arrival.isWelcome ? limits.welcomeHeadroom : 0)) {
      kept.push(arrival);
      count++;
      bytes += arrival.bytes;
      continue;
    }
    lost++;
    if (isGapMarked) continue;
    isGapMarked = true;
    gapAt = kept.length;
    kept.push(0);
    count++;
    bytes += GAP_BYTES;
  }
  if (gapAt !== undefined) kept[gapAt] = lost;
  return { kept, lost, isGapMarked };
}

/** Cuts what goes into a queue into runs, each of which must fit into one answer. */
export function cutRuns<T extends { readonly bytes: number }>(
  entries: readonly T[],
  { itemsMax, bytesMax }: { readonly itemsMax: number; readonly bytesMax: number },
): readonly (readonly T[])[] {
  const runs: T[][] = [];
  let run: T[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const isTooMuch = run.length >= itemsMax || bytes + entry.bytes > bytesMax;
    if (run.length > 0 && isTooMuch) {
      runs.push(run);
      run = [];
      bytes = 0;
    }
    run.push(entry);
    bytes += entry.bytes;
  }
  if (run.length > 0) runs.push(run);
  return runs;
}
