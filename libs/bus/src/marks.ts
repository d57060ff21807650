import { Failure } from '@roost/core/failure';

/** Another transaction moved one of the marks that this one had read: what it stored is taken back. */
export class MarksMoved extends Error {
  override readonly name = 'MarksMoved';
}

const ATTEMPTS_MAX = 5;

/** Stores a batch in a transaction of its own, and anew where another with the same groups was faster; `UNAVAILABLE` after five times. */
export async function untilMarksStay<T>(store: () => Promise<T>): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    try {
      return await store();
    } catch (error) {
      if (!(error instanceof MarksMoved)) throw error;
    }
  }
  throw new Failure('UNAVAILABLE', 'too many deliver the same events');
}
