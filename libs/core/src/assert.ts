/** Thrown where our own reasoning was wrong. A caller hears "internal error", we hear everything. */
export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant';
}

/** States what must be true by our own design; never used to judge input. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new BrokenInvariant(`invariant broken: ${invariant}`);
}
