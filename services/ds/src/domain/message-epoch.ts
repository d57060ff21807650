import { Failure } from '@roost/core/failure';

/**
 * Admits an application message of the current epoch and of a few before it: whoever sends while a
 * commit is under way need not send again.
 */
export function admitEpoch(epoch: bigint, current: bigint, tolerance: bigint): void {
  if (epoch > current) {
    throw new Failure('EPOCH_UNKNOWN', 'the message is of an epoch that is not reached yet', {
      currentEpoch: current,
    });
  }
  if (epoch + tolerance < current) {
    throw new Failure('EPOCH_TOO_OLD', 'the message is of an epoch that is too long ago', {
      currentEpoch: current,
    });
  }
}
