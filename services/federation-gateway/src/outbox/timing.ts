import { MINUTE_MS, SECOND_MS } from '@roost/core/time';

/** How the lanes behave in time. */
export interface LaneTiming {
  readonly backoffFirstMs: number;
  readonly backoffLastMs: number;
  /** How often a destination is looked at that our own policy keeps out. */
  readonly deniedMs: number;
  /** After so long, what a replica was carrying when it died or froze is carried by another. */
  readonly leaseMs: number;
  /** How often it is measured what waits. */
  readonly measureMs: number;
}

export const laneTiming: LaneTiming = {
  backoffFirstMs: SECOND_MS,
  backoffLastMs: 5 * MINUTE_MS,
  deniedMs: MINUTE_MS,
  leaseMs: 4 * SECOND_MS,
  measureMs: SECOND_MS,
};
