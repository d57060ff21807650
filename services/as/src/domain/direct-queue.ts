import { Failure } from '@roost/core/failure';

/** What a direct queue must know of itself to admit one more message. */
export interface DirectQueue {
  /** The sequence that the next message gets. */
  readonly next: bigint;
  /** Below here everything was taken. */
  readonly first: bigint;
  readonly queuedBytes: bigint;
}

export interface DirectQueueLimits {
  readonly messagesMax: bigint;
  readonly bytesMax: bigint;
}

/** Refuses what a queue has no room for: only a sender hears of it, a stranger of the owner. */
export function checkRoom(queue: DirectQueue, bytes: number, limits: DirectQueueLimits): void {
  const isFull = queue.next - queue.first >= limits.messagesMax;
  if (isFull || queue.queuedBytes + BigInt(bytes) > limits.bytesMax) {
    throw new Failure('QUEUE_FULL', 'the direct queue of this user takes no more until it is read');
  }
}

/** Where an acknowledgement moves the beginning of a queue: never back, never beyond the end. */
export function acknowledged(queue: DirectQueue, below: bigint): bigint {
  if (below > queue.next) {
    throw new Failure('MALFORMED', 'the sequence was never given out', { field: 'from_sequence' });
  }
  return below > queue.first ? below : queue.first;
}
