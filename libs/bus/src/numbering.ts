import { type BusEvent, comparePairs, type Pair } from './frames.ts';

/**
 * How events keep their order and are not lost on their way (design §6): every sender and receiver of them goes by this,
 * hop by hop. Numbers are given out per group and destination; each knows the one before it.
 */
export interface Numbered {
  readonly number: Pair;
  readonly prev: Pair;
}

/** The next number of a group for a destination, and the one before it. */
export function nextNumber(head: Pair, incarnation: number): Numbered {
  return { number: { incarnation, n: head.n + 1n }, prev: head };
}

/**
 * What a sender does about one group after the receiver told its mark, and the table was read
 * again: nothing; send the rows from the mark on; or tell of what is not there any more.
 */
export type NextStep =
  | { readonly kind: 'done' }
  | { readonly kind: 'send' }
  | { readonly kind: 'gap'; readonly from: Pair; readonly to: Pair };

/** `lowest` is the first row that remains, `head` the last number that was ever given out. */
export function nextStep(mark: Pair, lowest: Numbered | undefined, head: Pair): NextStep {
  if (lowest === undefined) {
    return isBefore(mark, head) ? { kind: 'gap', from: mark, to: head } : { kind: 'done' };
  }
  if (isBefore(mark, lowest.prev)) return { kind: 'gap', from: mark, to: lowest.prev };
  return { kind: 'send' };
}

/**
 * Whether a receiver's mark of a group moves on to this event: prev ≤ mark < number. A gap is taken only where
 * it begins exactly at the mark, as it was made from it. A head never moves anything.
 */
export function takes(
  mark: Pair,
  { kind, number, prev }: Pick<BusEvent, 'kind' | 'number' | 'prev'>,
): boolean {
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

export function isBefore(a: Pair, b: Pair): boolean {
  return comparePairs(a, b) < 0;
}

/** PostgreSQL's largest bigint: a number beyond it was never given out. */
const N_MAX = 2n ** 63n - 1n;
