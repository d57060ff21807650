import { Failure } from '@roost/core/failure';

/** Why a peer could not be found: refusals are counted by it. */
export const DISCOVERY_FLAWS = [
  ...(['name', 'address', 'connection', 'certificate', 'redirect', 'status'] as const),
  ...(['type', 'size', 'time', 'document'] as const),
] as const;
export type DiscoveryFlaw = (typeof DISCOVERY_FLAWS)[number];

/** Whether it may be over in a moment: nothing was seen that a homeserver would not show. */
export function isPassing(flaw: DiscoveryFlaw): boolean {
  return PASSING.has(flaw);
}

const PASSING = new Set<DiscoveryFlaw>(['name', 'connection', 'status', 'time']);

/** A peer cannot be found, or is not what it should be, by now. The message is for the operator. */
export class PeerUnreachable extends Failure {
  readonly flaw: DiscoveryFlaw;

  constructor(flaw: DiscoveryFlaw, message: string, cause?: unknown) {
    super('UNAVAILABLE', message, {}, cause);
    this.flaw = flaw;
  }
}
