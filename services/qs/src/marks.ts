import { comparePairs, type BusEvent, type Pair } from '@roost/bus/frames';

/** PostgreSQL's largest bigint: a number beyond it was never given out. */
const N_MAX = 2n ** 63n - 1n;

/**
 * Whether the mark of a group moves on to this event: prev ≤ mark < number. A gap is taken only where
 * it begins exactly at the mark, as it was made from it. A head never moves anything.
 */
export function takes(mark: Pair, { kind, number, prev }: BusEvent): boolean {
  if (number.n > N_MAX || comparePairs(mark, number) >= 0) return false;
  switch (kind) {
    case 'event':
      return comparePairs(prev, mark) <= 0;
    case 'gap':
      return comparePairs(prev, mark) === 0;
    case 'head':
      return false;
  }
}
