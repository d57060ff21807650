import type { Domain } from '@roost/core/ids';

/** What a homeserver wants to do, of one group or of none. */
export interface Wanted {
  readonly kind: 'group' | 'call';
  /** Empty where no group is concerned. */
  readonly groupTag: Uint8Array;
  readonly cost: number;
}

/** Counts what other homeservers do. */
export interface Limits {
  /** Takes, or refuses with `RATE_LIMITED`; `UNAVAILABLE` where nobody can count. */
  take(
    peer: { readonly domain: Domain; readonly firstMetMs: number },
    wanted: Wanted,
  ): Promise<void>;
}
