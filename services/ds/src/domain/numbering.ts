/** A number of the outbox, per group and destination; compared lexicographically (design §6). */
export interface Pair {
  /** Comes from outside the database; grows with each restore of it. */
  readonly incarnation: number;
  /** Goes on over a restore. */
  readonly n: bigint;
}

export interface Numbered {
  readonly number: Pair;
  readonly prev: Pair;
}

/** The next number of a group for a destination, and the one before it. */
export function nextNumber(head: Pair, incarnation: number): Numbered {
  return { number: { incarnation, n: head.n + 1n }, prev: head };
}

/**
 * What a dispatcher does about one group after the receiver told its mark, and the table was read
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

export function isBefore(a: Pair, b: Pair): boolean {
  return a.incarnation < b.incarnation || (a.incarnation === b.incarnation && a.n < b.n);
}
